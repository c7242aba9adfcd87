package check

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Kind is which of Pulumi's documents a stack was read from.
type Kind string

// The documents that Read understands.
const (
	// Preview is the output of `pulumi preview --json`, or of `pulumi destroy --preview-only --json`.
	Preview Kind = "preview"
	// Export is the output of `pulumi stack export`.
	Export Kind = "export"
)

// Stack is what a preview plans or an export holds.
type Stack struct {
	// Kind is the document that the stack was read from.
	Kind Kind
	// Failures are the messages of a preview that failed. What it planned is then known in part only.
	Failures []string
	// Hidden is how many unchanged resources a preview leaves out because it ran without --show-sames.
	Hidden int

	// resources are as they are (export) or will be (preview), without those that go away.
	resources []*resource
	// steps are what a preview plans; empty for an export.
	steps []step
}

// Len is how many resources there are to check.
func (s *Stack) Len() int { return len(s.resources) }

// resource is a resource's state as Pulumi writes it, as far as the rules need it.
type resource struct {
	URN                  string              `json:"urn"`
	Type                 string              `json:"type"`
	Protect              bool                `json:"protect"`
	Delete               bool                `json:"delete"`
	Inputs               map[string]any      `json:"inputs"`
	Outputs              map[string]any      `json:"outputs"`
	PropertyDependencies map[string][]string `json:"propertyDependencies"`
}

type step struct {
	Op             string    `json:"op"`
	URN            string    `json:"urn"`
	Old            *resource `json:"oldState"`
	New            *resource `json:"newState"`
	ReplaceReasons []string  `json:"replaceReasons"`
}

// document has the fields of both documents; those of the other one stay nil.
type document struct {
	Steps         []step         `json:"steps"`
	ChangeSummary map[string]int `json:"changeSummary"`
	Diagnostics   []struct {
		Severity string `json:"severity"`
		Message  string `json:"message"`
	} `json:"diagnostics"`
	Deployment *struct {
		Resources []*resource `json:"resources"`
	} `json:"deployment"`
}

// Read reads a preview or an export. Its errors never quote the document, which may hold secrets.
func Read(from io.Reader) (*Stack, error) {
	decoder := json.NewDecoder(from)
	var d document
	if err := decoder.Decode(&d); errors.Is(err, io.EOF) {
		return nil, errors.New("the input is empty; want the output of pulumi preview --json or pulumi stack export")
	} else if err != nil {
		return nil, fmt.Errorf("the input is not the JSON of a preview or an export: %w", describe(err))
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("the input holds more than one JSON value; want one document, without " +
			"PULUMI_ENABLE_STREAMING_JSON_PREVIEW")
	}
	switch {
	case d.Steps != nil || d.Diagnostics != nil:
		return d.preview(), nil
	case d.Deployment != nil:
		return d.export(), nil
	default:
		return nil, errors.New("the input is JSON but neither a preview (steps) nor an export (deployment)")
	}
}

// describe keeps the place of a JSON error and drops what it quotes.
func describe(err error) error {
	var syntax *json.SyntaxError
	var mismatch *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return fmt.Errorf("a mistake in the JSON at byte %d", syntax.Offset)
	case errors.As(err, &mismatch):
		return fmt.Errorf("%s is not a %s", mismatch.Field, mismatch.Type)
	default:
		return err
	}
}

func (d *document) export() *Stack {
	s := &Stack{Kind: Export}
	for _, r := range d.Deployment.Resources {
		if !r.Delete { // Left over from an interrupted update, to be deleted by the next.
			s.resources = append(s.resources, r)
		}
	}
	return s
}

func (d *document) preview() *Stack {
	s := &Stack{Kind: Preview, steps: d.Steps, Hidden: d.ChangeSummary["same"]}
	for _, diagnostic := range d.Diagnostics {
		if diagnostic.Severity == "error" {
			s.Failures = append(s.Failures, oneLine(diagnostic.Message))
		}
	}
	// With --refresh a resource has two steps; the later one is what the program asks for.
	last := map[string]int{}
	for _, planned := range d.Steps {
		if planned.Op == "same" {
			s.Hidden--
		}
		if planned.New == nil {
			continue
		}
		if at, seen := last[planned.URN]; seen {
			s.resources[at] = planned.New
			continue
		}
		last[planned.URN] = len(s.resources)
		s.resources = append(s.resources, planned.New)
	}
	s.Hidden = max(s.Hidden, 0)
	return s
}

// oneLine folds a message and cuts what comes after its beginning: advice, or a diff of the whole object.
func oneLine(message string) string {
	const longest = 300
	text := strings.Join(strings.Fields(strings.TrimPrefix(message, "error: ")), " ")
	if len(text) <= longest {
		return text
	}
	return strings.ToValidUTF8(text[:longest], "") + " ..."
}

// everything returns every state, those that go away included.
func (s *Stack) everything() []*resource {
	all := append([]*resource(nil), s.resources...)
	for _, planned := range s.steps {
		if planned.Old != nil {
			all = append(all, planned.Old)
		}
	}
	return all
}

const (
	kubernetesPrefix   = "kubernetes:"
	kubernetesProvider = "pulumi:providers:kubernetes"
)

func (r *resource) isKubernetes() bool { return strings.HasPrefix(r.Type, kubernetesPrefix) }

// kind is a Kubernetes object's kind, or a provider's or component's last name.
func (r *resource) kind() string { return r.Type[strings.LastIndex(r.Type, ":")+1:] }

// isCore reports whether the resource is a kind of the core group. Pulumi has a type "...Patch" for each that sets some
// fields of an object.
func (r *resource) isCore(kind string) bool {
	return r.Type == kubernetesPrefix+"core/v1:"+kind || r.Type == kubernetesPrefix+"core/v1:"+kind+"Patch"
}

// isChart reports whether the resource is a Helm chart, installed by Helm or rendered by the provider.
func (r *resource) isChart() bool {
	return strings.HasPrefix(r.Type, kubernetesPrefix+"helm.sh/") && (r.kind() == "Release" || r.kind() == "Chart")
}

func (r *resource) isStack() bool { return r.Type == "pulumi:pulumi:Stack" }

func (r *resource) text(path ...string) string { return textAt(r.Inputs, path...) }
