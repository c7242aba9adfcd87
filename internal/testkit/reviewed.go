package testkit

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"sigs.k8s.io/yaml"
)

const (
	// Longer texts are shown by their hash and their first line: the scripts have golden files of their own.
	maxLines, maxLength = 40, 1200
	// An SDK gives a resource dozens of aliases for its API's versions; more than a few are counted.
	maxAliases = 4
)

// entry is one registration, read, call or set of outputs, as text.
type entry struct{ title, text string }

// Golden shows everything that the program asked of the engine, as YAML: what a reviewer sees when a change adds, drops or
// alters a resource, one of its inputs or options, or a lookup. Secrets, plugin versions and source positions are left out.
func (r *Recorder) Golden() string {
	var text strings.Builder
	for _, entry := range r.entries() {
		text.WriteString(entry.text)
	}
	return text.String()
}

// GoldenBeside shows what differs from another run: entries that are new or not the same, in full, and the titles of those
// that are gone.
func (r *Recorder) GoldenBeside(other *Recorder) string {
	ours, theirs := r.entries(), other.entries()
	var text strings.Builder
	for _, our := range ours {
		if !slices.Contains(theirs, our) {
			text.WriteString(our.text)
		}
	}
	for _, their := range theirs {
		if !slices.ContainsFunc(ours, func(our entry) bool { return our.title == their.title }) {
			text.WriteString(their.title + ": gone\n")
		}
	}
	return text.String()
}

// entries returns what was recorded, sorted: the order of a run is not deterministic.
func (r *Recorder) entries() []entry {
	var found []entry
	random := ""
	for _, registration := range r.Registrations() {
		if registration.TypeToken == string(resource.RootStackType) {
			continue
		}
		if input := registration.Inputs["input"]; registration.TypeToken == stashType && input.IsString() {
			random = input.StringValue()
		}
		found = append(found, newEntry(registration.TypeToken+" "+registration.Name, registration.reviewed()))
	}
	r.mu.Lock()
	for _, read := range r.reads {
		found = append(found, newEntry("read "+read.GetType()+" "+read.GetName(), reviewedRead(read)))
	}
	for _, call := range r.calls {
		content := map[string]any{"args": reviewedObject(call.Args)}
		set(content, "provider", short(call.Provider))
		found = append(found, newEntry("call "+call.Token, content))
	}
	for of, outputs := range r.outputs {
		if len(outputs) > 0 {
			found = append(found, newEntry("outputs of "+short(of), reviewedObject(outputs)))
		}
	}
	r.mu.Unlock()
	for i := range found {
		if random != "" {
			found[i].text = strings.ReplaceAll(found[i].text, random, "RANDOM")
		}
	}
	slices.SortFunc(found, func(a, b entry) int { return strings.Compare(a.title+"\n"+a.text, b.title+"\n"+b.text) })
	return found
}

func newEntry(title string, content any) entry {
	text, err := yaml.Marshal(map[string]any{title: content})
	if err != nil {
		text = []byte(title + ": " + err.Error() + "\n") // Seen in the comparison.
	}
	return entry{title: title, text: string(text)}
}

func (r Registration) reviewed() map[string]any {
	content := map[string]any{"parent": short(r.Parent())}
	set(content, "inputs", reviewedObject(r.Inputs))
	set(content, "options", reviewedOptions(r.RegisterRPC))
	return content
}

func reviewedRead(read *pulumirpc.ReadResourceRequest) map[string]any {
	content := map[string]any{"id": read.GetId(), "parent": short(read.GetParent())}
	properties, err := plugin.UnmarshalProperties(read.GetProperties(), keepAll())
	if err != nil {
		properties = resource.PropertyMap{"error": resource.NewStringProperty(err.Error())} // Seen in the comparison.
	}
	set(content, "inputs", reviewedObject(properties))
	set(content, "provider", short(read.GetProvider()))
	set(content, "dependsOn", shortSorted(read.GetDependencies()))
	set(content, "additionalSecretOutputs", read.GetAdditionalSecretOutputs())
	return content
}

func reviewedOptions(in *pulumirpc.RegisterResourceRequest) map[string]any {
	options := map[string]any{}
	set(options, "provider", short(in.GetProvider()))
	providers := map[string]any{}
	for pkg, provider := range in.GetProviders() {
		providers[pkg] = short(provider)
	}
	set(options, "providers", providers)
	set(options, "dependsOn", shortSorted(in.GetDependencies()))
	set(options, "deletedWith", short(in.GetDeletedWith()))
	set(options, "replaceWith", shortSorted(in.GetReplaceWith()))
	for name, on := range map[string]bool{
		"protect": in.GetProtect(), "retainOnDelete": in.GetRetainOnDelete(), "deleteBeforeReplace": in.GetDeleteBeforeReplace(),
	} {
		if on {
			options[name] = on
		}
	}
	set(options, "ignoreChanges", slices.Sorted(slices.Values(in.GetIgnoreChanges())))
	set(options, "replaceOnChanges", slices.Sorted(slices.Values(in.GetReplaceOnChanges())))
	set(options, "hideDiffs", slices.Sorted(slices.Values(in.GetHideDiffs())))
	set(options, "additionalSecretOutputs", slices.Sorted(slices.Values(in.GetAdditionalSecretOutputs())))
	set(options, "import", in.GetImportId())
	set(options, "aliases", reviewedAliases(in))
	timeouts := map[string]any{}
	set(timeouts, "create", in.GetCustomTimeouts().GetCreate())
	set(timeouts, "update", in.GetCustomTimeouts().GetUpdate())
	set(timeouts, "delete", in.GetCustomTimeouts().GetDelete())
	set(options, "customTimeouts", timeouts)
	hooks := map[string]any{}
	for when, names := range map[string][]string{
		"beforeCreate": in.GetHooks().GetBeforeCreate(), "afterCreate": in.GetHooks().GetAfterCreate(),
		"beforeUpdate": in.GetHooks().GetBeforeUpdate(), "afterUpdate": in.GetHooks().GetAfterUpdate(),
		"beforeDelete": in.GetHooks().GetBeforeDelete(), "afterDelete": in.GetHooks().GetAfterDelete(),
	} {
		set(hooks, when, names)
	}
	set(options, "hooks", hooks)
	return options
}

func reviewedAliases(in *pulumirpc.RegisterResourceRequest) []string {
	aliases := slices.Clone(in.GetAliasURNs())
	for _, alias := range in.GetAliases() {
		text := alias.GetUrn()
		if spec := alias.GetSpec(); spec != nil {
			text = strings.Trim(spec.GetType()+" "+spec.GetName(), " ")
			for what, value := range map[string]string{
				"stack": spec.GetStack(), "project": spec.GetProject(), "parent": short(spec.GetParentUrn()),
			} {
				if value != "" {
					text += " of " + what + " " + value
				}
			}
			if spec.GetNoParent() {
				text += " without a parent"
			}
		}
		aliases = append(aliases, text)
	}
	slices.Sort(aliases)
	if len(aliases) > maxAliases {
		return []string{fmt.Sprintf("%d, %s", len(aliases), hash(strings.Join(aliases, "\n")))}
	}
	return aliases
}

// set leaves out what is empty, because almost everything is.
func set[V any](into map[string]any, key string, value V) {
	switch value := any(value).(type) {
	case string:
		if value == "" {
			return
		}
	case []string:
		if len(value) == 0 {
			return
		}
	case map[string]any:
		if len(value) == 0 {
			return
		}
	}
	into[key] = value
}

func reviewedObject(properties resource.PropertyMap) map[string]any {
	object := map[string]any{}
	for key, value := range properties {
		object[string(key)] = reviewedValue(value)
	}
	return object
}

func reviewedValue(value resource.PropertyValue) any {
	switch {
	case value.IsSecret():
		return reviewedSecret(value.SecretValue().Element)
	case value.IsObject():
		return reviewedObject(value.ObjectValue())
	case value.IsArray():
		list := []any{}
		for _, element := range value.ArrayValue() {
			list = append(list, reviewedValue(element))
		}
		return list
	case value.IsString():
		return reviewedText(value.StringValue())
	case value.IsComputed():
		return "[unknown]"
	case value.IsResourceReference():
		return short(string(value.ResourceReferenceValue().URN))
	default:
		return value.V
	}
}

// reviewedSecret shows of a secret object the keys, which say which file or variable the secret becomes.
func reviewedSecret(value resource.PropertyValue) string {
	if !value.IsObject() {
		return "[secret]"
	}
	var keys []string
	for key := range value.ObjectValue() {
		keys = append(keys, string(key))
	}
	slices.Sort(keys)
	return "[secret] with " + strings.Join(keys, ", ")
}

func reviewedText(text string) string {
	lines := strings.Count(text, "\n")
	if lines < maxLines && len(text) < maxLength {
		return text
	}
	first, _, _ := strings.Cut(text, "\n")
	return fmt.Sprintf("[%d lines, %s] %s", lines, hash(text), first[:min(len(first), 80)])
}

// hash is short: it only has to differ when the text changes.
func hash(text string) string {
	return fmt.Sprintf("sha256 %x", sha256.Sum256([]byte(text)))[:len("sha256 ")+12]
}

// short is the end of a URN: the type and the name. A reference to a provider is a URN with an id behind it.
func short(urn string) string {
	parts := strings.Split(urn, "::")
	switch {
	case len(parts) < 4:
		return urn
	case parts[2] == string(resource.RootStackType):
		return "the stack"
	}
	return parts[2][strings.LastIndex(parts[2], "$")+1:] + "::" + parts[3]
}

func shortSorted(urns []string) []string {
	var names []string
	for _, urn := range urns {
		names = append(names, short(urn))
	}
	slices.Sort(names)
	return slices.Compact(names)
}
