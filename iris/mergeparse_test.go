package iris

import (
	"reflect"
	"strings"
	"testing"

	"ha-iris/internal/problems"
)

// TestMergeRules_AreAllTested: every rule that can refuse something refuses a case of refusals, which says how.
func TestMergeRules_AreAllTested(t *testing.T) {
	t.Parallel()
	everything := func(c *Config) { c.Service.Superserver, c.Metrics = true, Annotations }
	rules := community(everything).mergeRules()
	refuses := make([]bool, len(rules))
	for _, test := range refusals() {
		for _, change := range community(test.change, everything).mergeChanges(&problems.List{}) {
			for _, property := range change.properties {
				for i, rule := range rules {
					if rule.covers(change, property.name) {
						refuses[i] = refuses[i] || rule.want(property.value) != ""
						break
					}
				}
			}
		}
	}
	for i, rule := range rules {
		if harmless := reflect.ValueOf(rule.want).Pointer() == reflect.ValueOf(anything).Pointer(); !refuses[i] && !harmless {
			t.Errorf("no case for %s.%s of %v", rule.object, rule.property, rule.of)
		}
	}
}

// renderAction writes an action so that it can be read in one way only.
func renderAction(change mergeChange) string {
	var parts []string
	for _, property := range change.properties {
		parts = append(parts, property.written+`="`+strings.ReplaceAll(property.value, `"`, `""`)+`"`)
	}
	return "Modify" + change.object + ":" + strings.Join(parts, ",")
}

// FuzzMergeActions: no line makes the parser fail or lose a property, and what it read comes back when it is written in
// order.
func FuzzMergeActions(f *testing.F) {
	for _, seed := range []string{
		"CreateDatabase:Name=APP,Directory=/external/APP", `ModifyUser:Name=a,Roles="%A,%B",PasswordHash=a,b,1,SHA512`,
		`X1:a="b,c=d",e="f""g"`, `X1:a=b"c,d=e"f,g=h`, `X1:"a"="b"`, "X1:,,=,a=,=b", "DeleteUser:me", "X1:a=b,a=c", `X1:a={"b":"c,d=e"}`,
		"X1: a = b , c = d ", "DeleteOAuth2Server", `X1:a="`, "X1:a;x=b", "X1:ſ=K", "X1:a//=b,Password=x",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if checkActionLine(line) != "" {
			return
		}
		change := actionChange("", line)
		names := map[string]bool{}
		for _, property := range change.properties {
			names[property.name] = true
		}
		// Outside of quotes nothing may be lost; without any quote that is every NAME= after a comma.
		if _, text, _ := strings.Cut(line, ":"); !strings.Contains(text, `"`) {
			for _, part := range strings.Split(text, ",") {
				name, _, found := strings.Cut(part, "=")
				if found && propertyPattern().MatchString(bare(name)) && !names[bare(name)] {
					t.Errorf("%q loses %q", line, name)
				}
			}
		}
		if change.delete || len(change.properties) == 0 || !propertyPattern().MatchString(change.object) {
			return
		}
		for _, property := range change.properties {
			// Quotes around the quotes that it came with.
			if strings.ContainsAny(property.written, `"`) || property.value != unquoted(`"`+strings.ReplaceAll(property.value, `"`, `""`)+`"`) {
				return
			}
		}
		written := renderAction(change)
		again := actionChange("", written)
		if again.object != change.object || !reflect.DeepEqual(again.properties, change.properties) {
			t.Errorf("%q\nread    %q\nwritten %q\nread    %q", line, change.properties, written, again.properties)
		}
	})
}
