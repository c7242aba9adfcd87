// Package check refuses Pulumi stacks that would expose, unpin or lose something. It reads what Pulumi itself writes (a
// preview or an exported state) and so works on any stack, in whatever language its program is.
package check

import (
	"cmp"
	"slices"
	"strings"
)

// Rule names what a stack must not do.
type Rule string

// The rules.
const (
	// PublicLoadBalancer refuses load balancers that everybody can reach.
	PublicLoadBalancer Rule = "public-load-balancer"
	// UnpinnedImage refuses images and charts whose content can change under the same name.
	UnpinnedImage Rule = "unpinned-image"
	// PlaintextSecret refuses credentials that anybody who may read the state or the cluster's objects can see.
	PlaintextSecret Rule = "plaintext-secret"
	// UnprotectedData refuses data that a destroy would delete without a further question.
	UnprotectedData Rule = "unprotected-data"
	// DataLoss refuses a preview that would delete or replace what holds data.
	DataLoss Rule = "data-loss"
)

// Rules lists every rule.
func Rules() []Rule {
	return []Rule{PublicLoadBalancer, UnpinnedImage, PlaintextSecret, UnprotectedData, DataLoss}
}

// Violation is one breach of a rule.
type Violation struct {
	// Rule is the rule that is broken.
	Rule Rule `json:"rule"`
	// URN is the resource that breaks it.
	URN string `json:"urn"`
	// Path is the property that breaks it; empty when it is the resource itself.
	Path string `json:"path,omitempty"`
	// Got says what is there. Never a credential's value.
	Got string `json:"got"`
	// Want says what would be accepted.
	Want string `json:"want"`
}

// reporter takes what a rule finds.
type reporter func(r *resource, path, got, want string)

// Check returns every violation, by resource.
func Check(s *Stack) []Violation {
	var found []Violation
	report := func(rule Rule) reporter {
		return func(r *resource, path, got, want string) {
			found = append(found, Violation{Rule: rule, URN: r.URN, Path: path, Got: got, Want: want})
		}
	}
	for _, r := range s.resources {
		checkLoadBalancer(r, report(PublicLoadBalancer))
		checkImages(r, report(UnpinnedImage))
		checkSecrets(r, report(PlaintextSecret))
	}
	checkProtection(s, report(UnprotectedData))
	checkLosses(s, report(DataLoss))
	slices.SortStableFunc(found, func(a, b Violation) int {
		return cmp.Or(strings.Compare(a.URN, b.URN), slices.Index(Rules(), a.Rule)-slices.Index(Rules(), b.Rule),
			strings.Compare(a.Path, b.Path))
	})
	return found
}
