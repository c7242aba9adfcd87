package iris

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"ha-iris/internal/problems"
)

// mergeRule says which values one property of an object may have. Of the rules for a property the first counts.
type mergeRule struct {
	// object and property are patterns (path.Match) for names in lower case.
	object, property string
	// of are the objects meant, in lower case, told by their names; none means all. With key the name stands in that property, too: only
	// the first part of an action may go without its property's name.
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
	names := change.values(propertyName)
	if r.key != "" {
		names = append(names, change.values(r.key)...)
	}
	for _, value := range names {
		for _, name := range strings.Split(value, ",") {
			// The web application /api/monitor is also written /api/monitor/.
			if slices.Contains(r.of, canonicalNumber(strings.TrimSuffix(bare(name), "/"))) {
				return true
			}
		}
	}
	return false
}

// canonicalNumber writes a number in the one way in which IRIS keeps it; other texts stay.
func canonicalNumber(text string) string {
	if number, err := strconv.ParseFloat(text, 64); err == nil {
		return strconv.FormatFloat(number, 'f', -1, 64)
	}
	return text
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
