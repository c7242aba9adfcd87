package iris

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"ha-iris/internal/pattern"
	"ha-iris/internal/problems"
)

// What the merge file will do, whichever way it is written: [Startup] DefaultPort=1 and ModifyStartup:DefaultPort=1 are
// the same change of the same object, and mergerules.go judges both by the same rule. IRIS compares names without case.

// mergeChange is one key of a section, or one action.
type mergeChange struct {
	path   string // Where the user wrote it.
	action bool   // A line of [Actions]: its path does not say which property is meant.
	delete bool
	// object is what is changed, in lower case: startup, database, user. Actions call it in the singular (ACMF), and so
	// does this.
	object     string
	properties []mergeProperty
}

// mergeProperty is a name in lower case, the name as the user wrote it, and a value without the quotes around it.
type mergeProperty struct{ name, written, value string }

// Names of properties that rules need to tell one object from another.
const (
	propertyName        = "name"
	propertyPort        = "port"
	propertyServer      = "server"
	propertyLogicalOnly = "logicalonly"
	// propertyDeleted is not IRIS': a Delete action has it, so that rules can forbid the deletion.
	propertyDeleted = "deleted"
)

func (m mergeChange) values(name string) []string {
	var values []string
	for _, property := range m.properties {
		if property.name == name {
			values = append(values, property.value)
		}
	}
	return values
}

// remote says whether a database's directory is on another machine: then it is a name only (RACS CreateDatabase).
func (m mergeChange) remote() bool {
	servers, logical := m.values(propertyServer), m.values(propertyLogicalOnly)
	isNone := func(value string) bool { return !serverPattern().MatchString(value) }
	isPhysical := func(value string) bool { return value != "1" }
	return m.object == "database" && len(servers) > 0 && !slices.ContainsFunc(servers, isNone) &&
		len(logical) > 0 && !slices.ContainsFunc(logical, isPhysical)
}

var serverPattern = pattern.Lazy(`^[A-Za-z0-9%][A-Za-z0-9 ._%-]*$`)

// mergeChanges returns everything that the configuration adds to the merge file, and reports what IRIS could read as
// something else than one key, one value or one action.
func (c Config) mergeChanges(found *problems.List) []mergeChange {
	var changes []mergeChange
	for _, section := range slices.Sorted(maps.Keys(c.CPF)) {
		if want := checkCPFSection(section); want != "" {
			addMergeText(found, "iris.cpf", section, want)
			continue
		}
		if strings.EqualFold(section, sectionActions) {
			found.Add("iris.cpf", section, "another section: actions are lines, not keys and values; put them in iris.actions")
			continue
		}
		for _, key := range slices.Sorted(maps.Keys(c.CPF[section])) {
			path, value := "iris.cpf."+section, c.CPF[section][key]
			if want := checkCPFKey(key); want != "" {
				addMergeText(found, path, key, want)
			} else if want := checkCPFValue(value); want != "" {
				addMergeText(found, path+"."+key, value, want, key)
			} else {
				changes = append(changes, sectionChange(path+"."+key, section, key, value))
			}
		}
	}
	for i, action := range c.Actions {
		path := fmt.Sprintf("iris.actions[%d]", i)
		if want := checkActionLine(action); want != "" {
			addMergeText(found, path, action, want)
			continue
		}
		changes = append(changes, actionChange(path, action))
	}
	return changes
}

// addMergeText reports a text that is not well-formed. It quotes it, unless the text or what stands beside it speaks of
// something secret: then nobody can tell where in it the secret is.
func addMergeText(found *problems.List, path, text, want string, beside ...string) {
	if secretPattern().MatchString(strings.Join(append(beside, text), " ")) {
		found.AddSecret(path, "a text that is not shown, because it may hold a password", want)
		return
	}
	found.Add(path, text, want)
}

// secretWords are what the names of secrets have in them, a password's and a key's own content included.
const secretWords = "pass|pwd|secret|token|privatekey|hotpkey|apikey|accesskey|symmetrickey"

var secretPattern = pattern.Lazy("(?i)" + secretWords)

// actionPattern knows the one action without properties, too (RACS).
var actionPattern = pattern.Lazy(`^([A-Z][A-Za-z0-9]+ *:.+|DeleteOAuth2Server)$`)

// checkActionLine returns what is valid when a line is not one action, or "".
func checkActionLine(action string) string {
	switch {
	case checkCPFValue(action) != "" || !actionPattern().MatchString(action):
		return `one line such as "CreateNamespace:Name=APP,Globals=APP"`
	case strings.Count(action, `"`)%2 != 0:
		return "a line whose quotes are closed; a quote inside of quotes is written twice"
	default:
		return ""
	}
}

// sectionChange reads a key of a section.
func sectionChange(path, section, key, value string) mergeChange {
	change := mergeChange{path: path, object: folded(section)}
	name := mergeProperty{name: propertyName, written: key, value: unquoted(key)}
	switch {
	case change.object == "databases":
		change.object = "database"
		change.properties = append(listProperties(value,
			// RACS "Database": the fourth and fifth are ignored, and with a server all but the first two.
			"directory", propertyServer, "mountrequired", "clustermountmode", "mountatstartup", "streamlocation"), name)
		// Quotes inside of a list are not documented, so what stands after them need not be a server.
		if !strings.Contains(value, `"`) && len(change.values(propertyServer)) > 0 {
			change.properties = append(change.properties, mergeProperty{name: propertyLogicalOnly, value: "1"})
		}
	case change.object == "archives":
		change.object = "archive"
		change.properties = append(listProperties(value, "type", "location"), name)
	case namesObjects(change.object):
		change.properties = []mergeProperty{name, {value: unquoted(value)}}
	default:
		change.properties = []mergeProperty{{name: bare(key), written: key, value: unquoted(value)}}
	}
	return change
}

// namesObjects says whether a section's keys are names that the user chose, as that of a namespace, and not settings of
// IRIS. One may well be called PASSWORD.
func namesObjects(section string) bool {
	switch section {
	case "comports", "devices", "devicesubtypes", "ecpservers", "gateways", "licenseservers", "magtapes", "mirrors",
		"namespaces", "sqlsysdatatypes", "sqluserdatatypes", "workqueues":
		return true
	default:
		return strings.HasPrefix(section, "map")
	}
}

// listProperties gives the parts of a value their names. Parts without a name have none.
func listProperties(value string, names ...string) []mergeProperty {
	var properties []mergeProperty
	for i, part := range commaParts(value) {
		property := mergeProperty{value: unquoted(part)}
		if i < len(names) {
			property.name = names[i]
		}
		properties = append(properties, property)
	}
	return properties
}

// actionChange reads a line of [Actions].
func actionChange(path, action string) mergeChange {
	operation, text, _ := strings.Cut(action, ":")
	change := mergeChange{path: path, action: true, object: bare(operation), properties: actionProperties(text)}
	for _, verb := range []string{"create", "modify", "delete"} {
		if object, found := strings.CutPrefix(change.object, verb); found {
			change.object = object
			if verb == "delete" {
				change.delete = true
				change.properties = append(change.properties, mergeProperty{name: propertyDeleted, written: "Delete", value: "1"})
			}
			return change
		}
	}
	return change
}

var propertyPattern = pattern.Lazy(`^[a-z%_][a-z0-9_%.]*$`)

// actionProperties reads NAME=VALUE,NAME=VALUE. A part without a name goes on with the value before it, as in the
// unquoted lists of public merge files (Roles=%All,%SQL); the first part alone may be a value, the object's name (RACS
// DeleteApplication).
func actionProperties(text string) []mergeProperty {
	var properties []mergeProperty
	for _, part := range commaParts(text) {
		written, value, found := strings.Cut(part, "=")
		switch name := bare(written); {
		case found && propertyPattern().MatchString(name):
			properties = append(properties, mergeProperty{name, strings.TrimSpace(written), value})
		case len(properties) == 0:
			properties = append(properties, mergeProperty{propertyName, "Name", part})
		default:
			properties[len(properties)-1].value += "," + part
		}
	}
	for i := range properties {
		properties[i].value = unquoted(properties[i].value)
	}
	return properties
}

var wholeText = pattern.Lazy(`^\s*("([^"]|"")*"|[^"]*)\s*$`)

// commaParts splits at commas outside of quotes. Where quotes stand in the middle of a value it is unclear whether IRIS
// takes them for quotes, so then every comma counts: no property may hide.
func commaParts(text string) []string {
	parts := splitOutsideQuotes(text)
	for _, part := range parts {
		name, value, _ := strings.Cut(part, "=")
		if !wholeText().MatchString(name) || !wholeText().MatchString(value) {
			return strings.Split(text, ",")
		}
	}
	return parts
}

func splitOutsideQuotes(text string) []string {
	parts, start, quoted := []string{}, 0, false
	for i, r := range text {
		switch {
		case r == '"':
			quoted = !quoted
		case r == ',' && !quoted:
			parts, start = append(parts, text[start:i]), i+1
		}
	}
	return append(parts, text[start:])
}

// unquoted returns a value as IRIS takes it: without spaces and quotes around it; inside, a quote is written twice.
func unquoted(value string) string {
	value = strings.TrimSpace(value)
	if len(value) >= 2 && strings.HasPrefix(value, `"`) && strings.HasSuffix(value, `"`) {
		return strings.ReplaceAll(value[1:len(value)-1], `""`, `"`)
	}
	return value
}

// bare returns a name as rules compare it: folded, without the quotes, the spaces and the comment that IRIS allows beside it (RACS
// "CPF Format").
func bare(name string) string {
	for _, comment := range []string{"//", "/*", ";", "#"} {
		name, _, _ = strings.Cut(name, comment)
	}
	return folded(strings.TrimSpace(strings.Trim(strings.TrimSpace(name), `"`)))
}

// folded is how names are compared wherever they are: in lower case, and by way of upper case, because a few letters beyond ASCII become
// one of ASCII's on one way only.
func folded(name string) string { return strings.ToLower(strings.ToUpper(name)) }
