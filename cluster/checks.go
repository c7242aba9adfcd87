package cluster

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"ha-iris/internal/problems"
)

var namePattern = regexp.MustCompile(`^[a-z]([a-z0-9-]*[a-z0-9])?$`)

// maxNameLength leaves room for what is appended: a Google service account id has 30 characters (NAME-nodes), a GKE
// cluster's name 40 (NAME-XXXXXXX).
const maxNameLength = 24

func (c Config) checkName(found *problems.List) {
	if c.Name == "" {
		return // Reported already.
	}
	if len(c.Name) > maxNameLength || !namePattern.MatchString(c.Name) {
		found.Add("cluster.name", c.Name, fmt.Sprintf(
			"up to %d lower-case letters, digits and hyphens, starting with a letter (the default is PROJECT-STACK)",
			maxNameLength))
	}
}

// checkRegion reports a missing or misspelt region. key is the provider's own key.
func (c Config) checkRegion(found *problems.List, key string, valid *regexp.Regexp, example string) {
	switch {
	case c.Region == "":
		found.AddMissing(key, fmt.Sprintf("a region: pulumi config set %s %s", key, example))
	case !valid.MatchString(c.Region):
		found.Add(key, c.Region, "the name of a region, such as "+example)
	}
}

func (c Config) checkPattern(found *problems.List, key, value string, valid *regexp.Regexp, want string) {
	if value != "" && !valid.MatchString(value) {
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

// checkZones reports everything but three different zones that match. No zones at all are fine: New looks them up.
func (c Config) checkZones(found *problems.List, valid func(zone string) bool, want string) {
	if len(c.Zones) == 0 {
		return
	}
	if len(c.Zones) != zoneCount {
		found.Add("cluster.zones", c.Zones, fmt.Sprintf("exactly %d zones: %s", zoneCount, want))
	}
	for i, zone := range c.Zones {
		path := fmt.Sprintf("cluster.zones[%d]", i)
		switch {
		case slices.Contains(c.Zones[:i], zone):
			found.Add(path, zone, "a zone that is not listed twice")
		case !valid(zone):
			found.Add(path, zone, want)
		}
	}
}

// checkSourceRanges reports what is not a network in CIDR notation, host bits included: the clouds refuse those late.
func (c Config) checkSourceRanges(found *problems.List) {
	for i, text := range c.APIServerSourceRanges {
		path := fmt.Sprintf("cluster.apiServerSourceRanges[%d]", i)
		prefix, err := netip.ParsePrefix(text)
		switch {
		case err != nil || !prefix.Addr().Is4():
			found.Add(path, text, "an IPv4 network in CIDR notation, such as 203.0.113.0/24")
		case prefix != prefix.Masked():
			found.Add(path, text, "the network's own address: "+prefix.Masked().String())
		}
	}
}

// checkSubnets reports a list of the wrong length, wrong ids and doubles. No subnets are fine.
func (c Config) checkSubnets(found *problems.List, count int, valid *regexp.Regexp, want string) {
	if len(c.SubnetIDs) == 0 {
		return
	}
	if len(c.SubnetIDs) != count {
		found.Add("cluster.subnetIds", c.SubnetIDs, fmt.Sprintf("a list of %d: %s", count, want))
	}
	for i, id := range c.SubnetIDs {
		path := fmt.Sprintf("cluster.subnetIds[%d]", i)
		switch {
		case slices.Contains(c.SubnetIDs[:i], id):
			found.Add(path, id, "a subnet that is not listed twice")
		case !valid.MatchString(id):
			found.Add(path, id, want)
		}
	}
}

// tagRules are what a cloud accepts as a tag.
type tagRules struct {
	key, value *regexp.Regexp
	want       string
	// reserved are prefixes of keys that belong to the cloud.
	reserved []string
}

func (c Config) checkTags(found *problems.List, rules tagRules) {
	for _, key := range sortedKeys(c.Tags) {
		path := "cluster.tags." + key
		reserved := slices.ContainsFunc(rules.reserved, func(prefix string) bool {
			return strings.HasPrefix(strings.ToLower(key), prefix)
		})
		if reserved || !rules.key.MatchString(key) || !rules.value.MatchString(c.Tags[key]) {
			found.Add(path, c.Tags[key], rules.want)
		}
	}
}
