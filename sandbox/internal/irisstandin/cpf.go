package irisstandin

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// cpf is a configuration parameter file: sections in their order, keys in theirs. Names are compared without case.
type cpf struct{ sections []*cpfSection }

type cpfSection struct {
	name string
	keys []cpfKey
}

type cpfKey struct {
	name, value string
	line        int
}

// cpfError names the line that failed, as "iris merge" does (facts 2.7).
type cpfError struct {
	path, text, why string
	line            int
}

func (e *cpfError) Error() string {
	return fmt.Sprintf("%s, line %d: %s: %s", e.path, e.line, e.text, e.why)
}

func readCPF(path string) (*cpf, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return parseCPF(path, string(content))
}

const actionsSection = "Actions"

// parseCPF keeps the lines of [Actions] as keys whose value is the whole line.
func parseCPF(path, text string) (*cpf, error) {
	file := &cpf{}
	var section *cpfSection
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		switch {
		case line == "", strings.HasPrefix(line, "#"), strings.HasPrefix(line, ";"):
		case strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]"):
			section = file.section(line[1:len(line)-1], true)
		case section == nil:
			return nil, &cpfError{path, line, "outside of a section", i + 1}
		case strings.EqualFold(section.name, actionsSection):
			name, _, _ := strings.Cut(line, ":")
			section.keys = append(section.keys, cpfKey{name, line, i + 1})
		default:
			name, value, found := strings.Cut(line, "=")
			if !found {
				return nil, &cpfError{path, line, "neither a section nor key=value", i + 1}
			}
			section.set(strings.TrimSpace(name), strings.TrimSpace(value), i+1)
		}
	}
	return file, nil
}

func (c *cpf) section(name string, create bool) *cpfSection {
	for _, section := range c.sections {
		if strings.EqualFold(section.name, name) {
			return section
		}
	}
	if !create {
		return nil
	}
	section := &cpfSection{name: name}
	c.sections = append(c.sections, section)
	return section
}

// set keeps the last of several values (facts 2.7).
func (s *cpfSection) set(name, value string, line int) {
	for i := range s.keys {
		if strings.EqualFold(s.keys[i].name, name) {
			s.keys[i].value, s.keys[i].line = value, line
			return
		}
	}
	s.keys = append(s.keys, cpfKey{name, value, line})
}

func (c *cpf) get(section, name string) string {
	if found := c.section(section, false); found != nil {
		for _, key := range found.keys {
			if strings.EqualFold(key.name, name) {
				return key.value
			}
		}
	}
	return ""
}

func (c *cpf) number(section, name string, usual int) int {
	value, err := strconv.Atoi(c.get(section, name))
	if err != nil {
		return usual
	}
	return value
}

func (c *cpf) render() string {
	var text strings.Builder
	for _, section := range c.sections {
		fmt.Fprintf(&text, "[%s]\n", section.name)
		for _, key := range section.keys {
			fmt.Fprintf(&text, "%s=%s\n", key.name, key.value)
		}
		text.WriteString("\n")
	}
	return text.String()
}

// mergeCPF puts a merge file over a configuration and returns its actions.
func (c *cpf) merge(path string, from *cpf) ([]cpfKey, error) {
	var actions []cpfKey
	for _, section := range from.sections {
		if strings.EqualFold(section.name, actionsSection) {
			actions = append(actions, section.keys...)
			continue
		}
		for _, key := range section.keys {
			if why := checkParameter(section.name, key.name, key.value); why != "" {
				return nil, &cpfError{path, "[" + section.name + "] " + key.name, why, key.line}
			}
		}
	}
	for _, section := range from.sections {
		if !strings.EqualFold(section.name, actionsSection) {
			for _, key := range section.keys {
				c.section(section.name, true).set(key.name, key.value, key.line)
			}
		}
	}
	return actions, nil
}

// check finds what breaks a start in iris.cpf itself.
func (c *cpf) check(path string) error {
	if c.section(actionsSection, false) != nil {
		return fmt.Errorf("%s: [Actions] belongs in a merge file only", path) // Facts 2.7.
	}
	var found []error
	for _, section := range c.sections {
		for _, key := range section.keys {
			if why := checkParameter(section.name, key.name, key.value); why != "" {
				found = append(found, &cpfError{path, "[" + section.name + "] " + key.name, why, key.line})
			}
		}
	}
	return errors.Join(found...)
}

// checkParameter returns what is valid for a value, of the parameters whose values the facts tell (3.1, 3.2), or "".
// Others are taken as they are: how IRIS answers an unknown one is not known. A password hash is never shown.
func checkParameter(section, name, value string) string {
	switch strings.ToLower(section + "." + name) {
	case "config.globals":
		return checkGlobals(value)
	case "config.gmheap":
		return between(value, 16384, 1073741760, true)
	case "config.locksiz":
		return between(value, 65536, 1<<40, true)
	case "config.jrnbufs":
		return between(value, 16, 1024, false)
	case "config.routines":
		return between(value, 80, 1020, true)
	case "startup.shutdowntimeout":
		return between(value, 120, 100000, false)
	case "startup.defaultport":
		return between(value, 1, 65535, false)
	case "journal.freezeonerror", "miscellaneous.synchcommit", "startup.webserver":
		return between(value, 0, 1, false)
	case "startup.passwordhash":
		if value == "" {
			return "" // Ignored (facts 3.3).
		}
		if _, err := parseHash(value); err != nil {
			return err.Error()
		}
	}
	return ""
}

func between(value string, low, high int, zero bool) string {
	parsed, err := strconv.Atoi(value)
	if err == nil && (zero && parsed == 0 || parsed >= low && parsed <= high) {
		return ""
	}
	return fmt.Sprintf("%q is not between %d and %d", value, low, high)
}

func checkGlobals(value string) string {
	fields := strings.Split(value, ",")
	for i, field := range fields {
		parsed, err := strconv.Atoi(strings.TrimSpace(field))
		if err != nil || parsed < 0 || i < 2 && parsed != 0 {
			return fmt.Sprintf("%q: want 0,0 and the megabytes of four sizes of buffers", value)
		}
	}
	if len(fields) > 6 {
		return fmt.Sprintf("%q has more than six sizes", value)
	}
	return ""
}
