package cluster

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"ha-iris/internal/pattern"
	"ha-iris/internal/problems"
	"ha-iris/internal/rules"
)

var namePattern = pattern.Lazy(`^[a-z]([a-z0-9-]*[a-z0-9])?$`)

// maxNameLength leaves room for suffixes: the strictest cloud takes 30 characters for a service account's id (NAME-nodes) and 40 for
// a cluster's name (NAME-XXXXXXX).
const maxNameLength = 24

func (c Config) checkName(found *problems.List) {
	if c.Name == "" {
		return // Reported already.
	}
	if len(c.Name) > maxNameLength || !namePattern().MatchString(c.Name) {
		found.Add("cluster.name", c.Name, fmt.Sprintf(
			"up to %d lower-case letters, digits and hyphens, starting with a letter (the default is PROJECT-STACK)",
			maxNameLength))
	}
}

// checkRegion reports a missing or misspelt region. key is the provider's own key.
func (c Config) checkRegion(found *problems.List, key string, valid pattern.Pattern, example string) {
	switch {
	case c.Region == "":
		found.AddMissing(key, fmt.Sprintf("a region: pulumi config set %s %s", key, example))
	case !valid().MatchString(c.Region):
		found.Add(key, c.Region, "the name of a region, such as "+example)
	}
}

func (c Config) checkPattern(found *problems.List, key, value string, valid pattern.Pattern, want string) {
	if value != "" && !valid().MatchString(value) {
		found.Add("cluster."+key, value, want)
	}
}

// diskLimits are the smallest and largest data disk in GiB, with the reasons that a message gives.
type diskLimits struct {
	minimum, maximum int
	why              string
}

func (c Config) checkDisk(found *problems.List, limits diskLimits) {
	if c.DataDiskGiB < limits.minimum || c.DataDiskGiB > limits.maximum {
		found.Add("cluster.dataDiskGiB", c.DataDiskGiB, fmt.Sprintf(
			"%d to %d GiB: %s", limits.minimum, limits.maximum, limits.why))
	}
}

// checkRolls checks how nodes are replaced.
func (c Config) checkRolls(found *problems.List) {
	const want = "a length of time from 1m to 24h, such as 2h: rebuilding a replica takes minutes to hours"
	if length, err := time.ParseDuration(c.RollTimeout); err != nil || length < time.Minute || length > 24*time.Hour {
		found.Add("cluster.rollTimeout", c.RollTimeout, want)
	}
}

// checkZones accepts three different valid zones, or none: New then uses the kind's default.
func (c Config) checkZones(found *problems.List, valid func(zone string) bool, want string) {
	if len(c.Zones) == 0 {
		return
	}
	if len(c.Zones) != zoneCount {
		found.Add("cluster.zones", c.Zones, fmt.Sprintf("exactly %d zones: %s", zoneCount, want))
	}
	checkItems(found, "cluster.zones", c.Zones, valid, "a zone that is not listed twice", want)
}

// checkSourceRanges reports what is not an IPv4 network in CIDR notation, the only form that all the clouds accept.
func (c Config) checkSourceRanges(found *problems.List) {
	for i, text := range c.APIServerSourceRanges {
		if want := rules.CheckNetwork(text, true); want != "" {
			found.Add(fmt.Sprintf("cluster.apiServerSourceRanges[%d]", i), text, want)
		}
	}
}

// checkSubnets reports a list of the wrong length, wrong ids and duplicates. An empty list is valid.
func (c Config) checkSubnets(found *problems.List, count int, valid pattern.Pattern, want string) {
	if len(c.SubnetIDs) == 0 {
		return
	}
	if len(c.SubnetIDs) != count {
		found.Add("cluster.subnetIds", c.SubnetIDs, fmt.Sprintf("a list of %d: %s", count, want))
	}
	checkItems(found, "cluster.subnetIds", c.SubnetIDs, valid().MatchString, "a subnet that is not listed twice", want)
}

// checkItems reports the items of a list that occur a second time, with the text once, and those that are not valid, with want.
func checkItems(found *problems.List, path string, items []string, valid func(string) bool, once, want string) {
	for i, item := range items {
		switch at := fmt.Sprintf("%s[%d]", path, i); {
		case slices.Contains(items[:i], item):
			found.Add(at, item, once)
		case !valid(item):
			found.Add(at, item, want)
		}
	}
}

// tagRules are what a cloud accepts as a tag. The lengths are not part of the patterns, because a counted repetition of
// Unicode letters takes 12 ms to compile.
type tagRules struct {
	key, value             pattern.Pattern
	keyLength, valueLength int // at most, in characters
	want                   string
	// reserved are prefixes of keys that belong to the cloud.
	reserved []string
}

func (c Config) checkTags(found *problems.List, allowed tagRules) {
	for _, key := range sortedKeys(c.Tags) {
		path := "cluster.tags." + key
		reserved := slices.ContainsFunc(allowed.reserved, func(prefix string) bool {
			return strings.HasPrefix(strings.ToLower(key), prefix)
		})
		tooLong := utf8.RuneCountInString(key) > allowed.keyLength || utf8.RuneCountInString(c.Tags[key]) > allowed.valueLength
		if reserved || tooLong || !allowed.key().MatchString(key) || !allowed.value().MatchString(c.Tags[key]) {
			found.Add(path, c.Tags[key], allowed.want)
		}
	}
}
