package iris

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

	"ha-iris/internal/pattern"
)

// The CPF merge file reaches IRIS in two halves that the pod's init container joins (containers.go): the settings, made
// here, without any secret, from a ConfigMap, and the credentials and actions (password.go), from a Secret. IRIS takes
// exactly one file (ISC_CPF_MERGE_FILE). The first half ends inside [Startup], so that the second can go on with that
// section's PasswordHash: nothing documents what IRIS does with a section that occurs twice.

const (
	sectionConfig        = "config"
	sectionJournal       = "Journal"
	sectionMiscellaneous = "Miscellaneous"
	sectionStartup       = "Startup"
	sectionActions       = "Actions"
)

// cpf is the content of a CPF merge file: section, key, value.
type cpf map[string]map[string]string

// newCPF returns the settings without secrets. Every value has its reason here.
func newCPF(cfg Config, plan memoryPlan) cpf {
	file := cpf{
		sectionConfig: {
			// Caches by block size: 8 KB is the third, the first two are always 0 (RACS globals). Other block sizes would
			// have to be allowed first (DBSizesAllowed), which a new instance does not need.
			"globals":  fmt.Sprintf("0,0,%d,0,0,0", plan.globalsMiB),
			"routines": fmt.Sprint(plan.routinesMiB),
			"gmheap":   fmt.Sprint(plan.gmheapKiB),
			"jrnbufs":  fmt.Sprint(plan.jrnbufsMiB),
		},
		sectionJournal: {
			// IRIS' default (0) turns journaling off after about 150 s of journal errors and works on without it. Here the
			// journal is what an unclean stop recovers from, so a volume that fails has to stop the updates (GCDI 3).
			"FreezeOnError": "1",
		},
		sectionStartup: {
			// The shortest value that IRIS takes (RACS; its default is 300 s). The pod's grace period ends earlier; a stop
			// that somebody runs by hand in the container then does not hang for 5 min.
			"ShutdownTimeout": "120",
		},
	}
	if cfg.SynchronousCommit {
		// A commit returns once its journal record is on disk. Without it the last two seconds of committed work can be
		// lost (GCDI: the journal is written every 2 s when idle).
		file[sectionMiscellaneous] = map[string]string{"SynchCommit": "1"}
	}
	if cfg.Edition == Community && cfg.usesWebGateway() {
		// The sidecar listens on the same port 52773 of the pod. Never set for a licensed image: without the server's
		// files a start with this key present fails (observed on 2026.1).
		file[sectionStartup]["WebServer"] = "0"
	}
	file.merge(cfg.CPF)
	return file
}

// merge puts the settings of the configuration over this program's. Section names are compared without case, as the
// vendor's own examples write [config] and [Config] (ACMF).
func (f cpf) merge(extra map[string]map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(extra)) {
		section := f.section(name)
		// Sorted: of one key in two spellings always the same one has the last word, or previews would differ.
		for _, key := range slices.Sorted(maps.Keys(extra[name])) {
			section[canonicalKey(section, key)] = extra[name][key]
		}
	}
}

func (f cpf) section(name string) map[string]string {
	for known := range f {
		if folded(known) == folded(name) {
			return f[known]
		}
	}
	f[name] = map[string]string{}
	return f[name]
}

func canonicalKey(section map[string]string, key string) string {
	for known := range section {
		if folded(known) == folded(key) {
			return known
		}
	}
	return key
}

// render writes the file the same way every time: sections and keys sorted, [Startup] last.
func (f cpf) render() string {
	var text strings.Builder
	sections := slices.SortedFunc(maps.Keys(f), func(a, b string) int {
		if a == sectionStartup || b == sectionStartup {
			return compareBool(a == sectionStartup, b == sectionStartup)
		}
		return strings.Compare(strings.ToLower(a)+a, strings.ToLower(b)+b)
	})
	for _, name := range sections {
		if text.Len() > 0 {
			text.WriteString("\n")
		}
		fmt.Fprintf(&text, "[%s]\n", name)
		for _, key := range slices.Sorted(maps.Keys(f[name])) {
			fmt.Fprintf(&text, "%s=%s\n", key, f[name][key])
		}
	}
	return text.String()
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	default:
		return -1
	}
}

var cpfSectionPattern = pattern.Lazy(`^[A-Za-z%][A-Za-z0-9 ._%-]*$`)

// checkCPFSection returns what is valid when a name is not a section name, or "".
func checkCPFSection(name string) string {
	if !cpfSectionPattern().MatchString(name) || strings.HasSuffix(name, " ") {
		return "a section name without brackets: letters, digits, space and ._%-"
	}
	return ""
}

// checkCPFKey returns what is valid when a key could be read as something else than a key, or "".
func checkCPFKey(key string) string {
	switch {
	case key == "", key != strings.TrimSpace(key), strings.ContainsFunc(key, breaksLine), strings.Contains(key, "="),
		strings.ContainsAny(key[:1], "[#;"), strings.HasPrefix(key, "//"), strings.Contains(key, longComment):
		return "a key on one line, without '=' and '/*', not beginning with '[', '#', ';' or '//'"
	case strings.ContainsFunc(key, func(r rune) bool { return r > unicode.MaxASCII }):
		return "a key of ASCII characters, as IRIS' own are: it compares them without case"
	default:
		return ""
	}
}

// checkCPFValue returns what is valid when a value would not stay on its line, or "".
func checkCPFValue(value string) string {
	switch {
	case strings.ContainsFunc(value, breaksLine):
		return "a value on one line, without control characters"
	case strings.Contains(value, longComment):
		return "a value without '/*', which begins a comment that goes on in the lines below"
	default:
		return ""
	}
}

// longComment begins a comment that may end many lines later (RACS "CPF Format"), the password's included.
const longComment = "/*"

// breaksLine reports characters that end a line, or hide one, for any reader of the file.
func breaksLine(r rune) bool {
	return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || r == unicode.ReplacementChar
}
