package iris

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"ha-iris/internal/pattern"
)

// placeRules are for what IRIS writes to. Anywhere but on the volume it is lost with the pod, and the pod is evicted when
// it grows to irisEphemeral.
func placeRules() []mergeRule {
	var rules []mergeRule
	place := func(object, property string, want func(string) string) {
		rules = append(rules, mergeRule{object: object, property: property, place: true, want: want})
	}
	database := func(value string) string {
		if value == "" {
			return wantOnVolume(value)
		}
		return onVolume(value)
	}
	// The one database whose directory is the manager's.
	rules = append(rules, mergeRule{object: "database", property: "directory", of: []string{"irissys"}, place: true, want: database})
	place("database*", "directory", func(value string) string {
		if clean := path.Clean(value); clean == dataDirectory || clean == managerDirectory {
			return fmt.Sprintf("a directory of the database's own, such as %s/NAME: this one is IRIS' own", managerDirectory)
		}
		return database(value)
	})
	for _, property := range []string{"directory", "streamlocation"} {
		place("*", property, onVolume)
	}
	for _, property := range []string{"currentdirectory", "alternatedirectory"} {
		place("journal", property, onVolume)
	}
	place("journal", "journalfileprefix", func(value string) string {
		if strings.ContainsAny(value, `/\`) {
			return "a prefix without directories: letters and digits"
		}
		return ""
	})
	for _, property := range []string{"wijdir", "pijdir"} {
		place("config", property, onVolume)
	}
	// Two parts of which the first has no meaning (RACS console); ModifyConfig calls the second ConsoleFile.
	place("config", "console*", func(value string) string { return onVolume(strings.TrimLeft(value, ", ")) })
	place("startup", "tempdirectory", temporaryOnVolume)
	place("archive", "location", archiveOnVolume)
	place("logging", "childprocesslaunchcommand", logOnVolume)
	place("*", "ssldir", anything) // Read only: certificates (RACS ConfigMirror).
	for _, property := range []string{"*directory", "*dir"} {
		// What other classes and later releases have. A value without a slash is none of theirs: SwitchOSdir is 0 or 1.
		place("*", property, func(value string) string {
			if !strings.ContainsAny(value, `/\`) {
				return ""
			}
			return onVolume(value)
		})
	}
	return rules
}

// managerDirectory is where IRIS keeps its own databases and logs (ADOCK 5.4).
const managerDirectory = dataDirectory + "/mgr"

// onVolume refuses a path that is not provably below the data volume's mount. It takes only what can be read in one way:
// what IRIS resolves a relative path against is not documented, ".." may follow a link, and "//", "#" and ";" begin a
// comment (RACS "CPF Format"). The mount's own directory and lost+found are the file system's. No value at all is IRIS'
// default, which is on the volume (ADOCK 5.4).
func onVolume(value string) string {
	if value == "" {
		return ""
	}
	segments := strings.Split(value, "/")
	below, inside := strings.CutPrefix(path.Clean(value), dataMount+"/")
	if !inside || slices.Contains(segments, "..") || strings.Contains(value, "//") || strings.ContainsAny(value, `\",;#*`) ||
		strings.Split(below, "/")[0] == "lost+found" {
		return wantOnVolume(value)
	}
	return ""
}

var directoryName = pattern.Lazy(`^[A-Za-z0-9_-]+$`)

// wantOnVolume says where on the volume the same thing would be.
func wantOnVolume(value string) string {
	name := path.Base(path.Clean(strings.ReplaceAll(value, `\`, "/")))
	if !directoryName().MatchString(name) || name == path.Base(dataMount) {
		name = "NAME"
	}
	return fmt.Sprintf("a full path on the data volume, without '..' and '//', such as %s/%s or %s/%s: what is "+
		"elsewhere is lost with the pod", managerDirectory, name, dataMount, name)
}

// temporaryOnVolume is for the one directory that is documented to be relative to the manager's (RACS TempDirectory).
func temporaryOnVolume(value string) string {
	if value == "" || path.IsAbs(value) {
		return onVolume(value)
	}
	return onVolume(managerDirectory + "/" + value)
}

// archiveOnVolume is for journals' archives: s3://BUCKET/, SERVER:/DIRECTORY/ or a directory (RACS Archives).
func archiveOnVolume(value string) string {
	if host, _, found := strings.Cut(value, ":"); found && host != "" && !strings.ContainsAny(host, `/\`) && len(host) > 1 {
		return ""
	}
	return onVolume(value)
}

// logOnVolume looks at the files that the vendor's log process writes, and grows, without end: irislogd -f FILE, and -e FILE for its
// errors (RACS ChildProcessLaunchCommand). What the options of other commands mean is unknown.
func logOnVolume(value string) string {
	fields := strings.Fields(value)
	if len(fields) == 0 || path.Base(strings.Trim(fields[0], `"'`)) != "irislogd" {
		return ""
	}
	for i := 1; i < len(fields); i++ {
		file, isFile, takesNext := logOption(fields[i])
		if takesNext && i+1 < len(fields) {
			i++
			file = fields[i]
		}
		if want := onVolume(strings.Trim(file, `"'`)); isFile && want != "" {
			return want
		}
	}
	return ""
}

// logOption reads an argument as getopt does: letters may share a dash, and what a letter takes may follow it without a blank.
func logOption(argument string) (value string, isFile, takesNext bool) {
	letters, isOption := strings.CutPrefix(argument, "-")
	if !isOption {
		return "", false, false
	}
	at := strings.IndexAny(letters, "efhi")
	if at < 0 {
		return "", false, false
	}
	value = letters[at+1:]
	return value, strings.ContainsRune("ef", rune(letters[at])), value == ""
}
