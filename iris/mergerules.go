package iris

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"ha-iris/internal/pattern"
	"ha-iris/internal/problems"
)

// mergeRule says which values one property of an object may have. Of the rules for a property the first counts.
type mergeRule struct {
	// object and property are patterns (path.Match) for names in lower case.
	object, property string
	// of are the objects meant, in lower case, told by the property key (the name by default); none means all.
	of  []string
	key string
	// place marks a rule for something that IRIS writes to, which a deletion and a remote database do not.
	place bool
	// got describes a value that is not to be shown.
	got string
	// want returns what is valid when the value is not, or "".
	want func(value string) string
}

func (r mergeRule) covers(change mergeChange, property string) bool {
	if !matches(r.object, change.object) || !matches(r.property, property) {
		return false
	}
	if r.place && (change.delete || change.remote()) {
		return false
	}
	if len(r.of) == 0 {
		return true
	}
	key := r.key
	if key == "" {
		key = propertyName
	}
	for _, value := range change.values(key) {
		for _, name := range strings.Split(value, ",") {
			// The web application /api/monitor is also written /api/monitor/.
			if slices.Contains(r.of, strings.TrimSuffix(bare(name), "/")) {
				return true
			}
		}
	}
	return false
}

func matches(pattern, name string) bool {
	matched, err := path.Match(pattern, name)
	return err == nil && matched
}

// validateCPF judges the whole merge file by one table, whether a change stands in a section or is an action.
func (c Config) validateCPF(found *problems.List) {
	rules := c.mergeRules()
	for _, change := range c.mergeChanges(found) {
		for _, property := range change.properties {
			for _, rule := range rules {
				if !rule.covers(change, property.name) {
					continue
				}
				if want := rule.want(property.value); want != "" {
					rule.report(found, change, property, want)
				}
				break
			}
		}
	}
}

func (r mergeRule) report(found *problems.List, change mergeChange, property mergeProperty, want string) {
	// What stands after a comma may be another property, and a secret.
	shown, _, _ := strings.Cut(strings.TrimLeft(property.value, ", "), ",")
	switch {
	case r.got == aValue && change.action:
		found.AddSecret(change.path, aValue+" for "+property.written, want)
	case r.got != "":
		found.AddSecret(change.path, r.got, want)
	case change.action:
		found.Add(change.path, property.written+"="+shown, want)
	default:
		found.Add(change.path, shown, want)
	}
}

const aValue = "a value"

func (c Config) mergeRules() []mergeRule {
	return slices.Concat(ownedRules(), accountRules(), c.accessRules(), placeRules(), secretRules())
}

// never refuses every value.
func never(want string) func(string) string { return func(string) string { return want } }

// only refuses every value but these.
func only(want string, valid ...string) func(string) string {
	return func(value string) string {
		if slices.Contains(valid, strings.ToLower(value)) {
			return ""
		}
		return want
	}
}

func anything(string) string { return "" }

// enabled takes the spellings of true that Security.Datatype.BooleanYN knows.
func enabled(why string) func(string) string { return only("1: "+why, "1", "y", "yes", "true") }

// ownedRules are for what the program sets itself, or builds on.
func ownedRules() []mergeRule {
	var rules []mergeRule
	for _, owned := range []struct{ object, property, instead string }{
		// ModifyConfig also knows the caches one by one, as globals8kb and so on (Config.config).
		{"config", "globals*", "iris.globalsMiB, so that the sum is checked against iris.memory"},
		{"config", "routines", "iris.routinesMiB, so that the sum is checked against iris.memory"},
		{"config", "gmheap", "iris.gmheapKiB, so that the sum is checked against iris.memory"},
		{"config", "jrnbufs", "iris.journalBuffersMiB, so that the sum is checked against iris.memory"},
		{"miscellaneous", "synchcommit", "iris.synchronousCommit"},
		{"startup", "passwordhash", "the secret irisPassword"},
		{"startup", "webserver", "iris.webGateway.enabled: a licensed image that is told to start its own web server does " +
			"not start at all"},
	} {
		rules = append(rules, mergeRule{object: owned.object, property: owned.property, got: aValue, want: never(owned.instead)})
	}
	superserver, portal := strconv.Itoa(superserverPort), strconv.Itoa(portalPort)
	return append(rules,
		mergeRule{object: "startup", property: "defaultport", want: only("DefaultPort "+superserver+", or none: the Service, "+
			"the network policy and the web server know this port; for other ports on the nodes set "+
			"iris.service.superserverNodePort", superserver)},
		mergeRule{object: "startup", property: "defaultportbindaddress", want: only("no DefaultPortBindAddress: the Service "+
			"reaches IRIS at the pod's address, which is another one after each failover", "")},
		mergeRule{object: "startup", property: "webserverport", want: only("WebServerPort "+portal+", or none: the Service and "+
			"the network policy know this port; for another port on the nodes set iris.service.portalNodePort", portal)},
		mergeRule{object: "journal", property: "freezeonerror", want: only("FreezeOnError 1, or none: with 0 IRIS works on "+
			"without a journal when the volume fails, and what it commits then is lost", "1")},
		// A file that was merged counts as modified, and in a pod nobody answers the question (RACS "Configuration Security").
		mergeRule{object: "system", property: "*configurationsecurity", want: only("no ConfigurationSecurity: IRIS would ask "+
			"for a password at each start and wait for it", "", "0", "n", "no", "false")},
	)
}

// accountRules are for the accounts whose password the program sets at every start (password.go).
func accountRules() []mergeRule {
	var managed []string
	for _, account := range accounts() {
		managed = append(managed, strings.ToLower(account))
	}
	const instead = "the secret irisPassword, which sets the password of the predefined accounts at every start"
	gateway := []string{strings.ToLower(gatewayUser)}
	const gatewayWhy = "the web server logs in as " + gatewayUser
	return []mergeRule{
		{object: "user", property: "passwordhash", of: managed, got: aValue, want: never(instead)},
		{object: "user", property: "password", of: managed, got: "a password in clear", want: never(instead)},
		{object: "user", property: "changepassword", of: managed, want: only("ChangePassword 0, or none: irisPassword is set "+
			"at every start", "0")},
		{object: "user", property: "passwordneverexpires", of: managed, want: only("PasswordNeverExpires 1, or none: "+
			"irisPassword is set at every start", "1")},
		{object: "user", property: "enabled", of: gateway, want: enabled(gatewayWhy)},
		{
			object: "user", property: propertyDeleted, of: gateway, got: "DeleteUser for " + gatewayUser,
			want: never("this account left alone: " + gatewayWhy),
		},
	}
}

// accessRules are for what the web server, Prometheus and the Service's clients come in through.
func (c Config) accessRules() []mergeRule {
	// Up to 2020 the service was called %Service_CSP (GSA).
	rules := []mergeRule{{
		object: "service", property: "enabled", of: []string{"%service_webgateway", "%service_csp"},
		want: enabled("the portal and the REST services come in through this service"),
	}}
	superserver := func(property string, want func(string) string) {
		rules = append(rules, mergeRule{
			object: propertyServer, property: property, key: propertyPort, of: []string{strconv.Itoa(superserverPort)}, want: want,
		})
	}
	const portalWhy = "the web server reaches IRIS through this port"
	superserver(propertyDeleted, never("this superserver left alone: "+portalWhy))
	superserver("enabled", enabled(portalWhy))
	superserver("enablecsp", enabled(portalWhy))
	// 2 is "required" (Security.Servers; Security.System before it had several superservers).
	const plain = "0 or 1: the web server in the pod does no TLS on this port"
	superserver("sslsupportlevel", only(plain, "0", "1"))
	rules = append(
		rules,
		mergeRule{object: "system", property: "sslsuperserver", want: only(plain, "0", "1")},
		mergeRule{object: "system", property: "autheenabled", want: admits(32, "AuthePassword", "the web server logs in with a password")},
	)
	if c.Service.Superserver {
		const why = "iris.service.superserver is true"
		superserver("enableclients", enabled(why))
		rules = append(rules, mergeRule{
			object: "service", property: "enabled", of: []string{"%service_bindings"}, want: enabled(why),
		})
	}
	if c.Metrics == Annotations || c.Metrics == ServiceMonitor {
		monitor, why := []string{"/api/monitor"}, "iris.metrics is "+string(c.Metrics)
		rules = append(
			rules,
			mergeRule{object: "application", property: "enabled", of: monitor, want: enabled(why)},
			mergeRule{object: "application", property: propertyDeleted, of: monitor, want: never("this application left alone: " + why)},
			mergeRule{object: "application", property: "autheenabled", of: monitor, want: admits(64, "AutheUnauthenticated", why+", and Prometheus sends no password")},
		)
	}
	return rules
}

// admits takes ways of authentication that have the given one among them, as a bit or as its macro (ACMF).
func admits(bit int, macro, why string) func(string) string {
	return func(value string) string {
		bits, err := strconv.Atoi(value)
		if (err == nil && bits&bit != 0) || strings.Contains(strings.ToLower(value), strings.ToLower(macro)) {
			return ""
		}
		return fmt.Sprintf("AutheEnabled with %d among its bits, or none: %s", bit, why)
	}
}

// placeRules are for what IRIS writes to. Anywhere but on the volume it is lost with the pod, and the pod is evicted when
// it grows to irisEphemeral.
func placeRules() []mergeRule {
	var rules []mergeRule
	place := func(object, property string, want func(string) string) {
		rules = append(rules, mergeRule{object: object, property: property, place: true, want: want})
	}
	place("database*", "directory", func(value string) string {
		if value == "" {
			return wantOnVolume(value)
		}
		return onVolume(value)
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
	return fmt.Sprintf("a full path on the data volume, without '..' and '//', such as %s/mgr/%s or %s/%s: what is "+
		"elsewhere is lost with the pod", dataDirectory, name, dataMount, name)
}

// temporaryOnVolume is for the one directory that is documented to be relative to the manager's (RACS TempDirectory).
func temporaryOnVolume(value string) string {
	if value == "" || path.IsAbs(value) {
		return onVolume(value)
	}
	return onVolume(dataDirectory + "/mgr/" + value)
}

// archiveOnVolume is for journals' archives: s3://BUCKET/, SERVER:/DIRECTORY/ or a directory (RACS Archives).
func archiveOnVolume(value string) string {
	if host, _, found := strings.Cut(value, ":"); found && host != "" && !strings.ContainsAny(host, `/\`) && len(host) > 1 {
		return ""
	}
	return onVolume(value)
}

// logOnVolume looks at the file that the vendor's log process writes, and grows, without end: irislogd -f FILE (RACS
// ChildProcessLaunchCommand). What the options of other commands mean is unknown.
func logOnVolume(value string) string {
	fields := strings.Fields(value)
	for i := 1; i+1 < len(fields); i++ {
		if path.Base(fields[0]) == "irislogd" && fields[i] == "-f" {
			return onVolume(fields[i+1])
		}
	}
	return ""
}

// secretRules are for what must not stand in a stack's file in clear: all that says password, and the names that other
// classes have for theirs (Security.*, OAuth2.*, %Wallet.*).
func secretRules() []mergeRule {
	var rules []mergeRule
	for _, harmless := range []string{
		"changepassword*", "passwordneverexpires", "passwordhash*", "passwordpattern", "passwordexpirationdays",
		"passwordvalidationroutine",
	} {
		rules = append(rules, mergeRule{object: "*", property: harmless, want: anything})
	}
	rules = append(rules, mergeRule{
		object: "user", property: "*password*", got: "a password in clear",
		want: never("PasswordHash=, from the vendor's passwordhash tool"),
	})
	for _, property := range []string{"*password*", "clientsecret", "secret", "secret64", "privatekey", "initialaccesstoken"} {
		got := "a secret in clear"
		if property == "*password*" {
			got = "a password in clear"
		}
		rules = append(rules, mergeRule{
			object: "*", property: property, got: got,
			want: never("none here: set it in IRIS, once; a merge leaves alone what it does not name"),
		})
	}
	return rules
}
