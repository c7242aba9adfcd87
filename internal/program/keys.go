package program

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ha-iris/internal/problems"
	"ha-iris/internal/secret"
	"ha-iris/internal/strict"
)

// loadSection decodes an object of the configuration. It refuses a secret value in a section that cannot keep it
// secret; the section then keeps its defaults.
func (c *Config) loadSection(ctx *pulumi.Context, name string) (refused bool, err error) {
	text, given := ctx.GetConfig(ctx.Project() + ":" + name)
	if !given {
		return false, nil
	}
	target := c.sections()[name]
	if !ctx.IsConfigSecret(ctx.Project() + ":" + name) {
		return false, decodeSection(name, text, target)
	}
	if name == "storage" {
		c.Storage.Secret = true
		return false, problems.Hide(decodeSection(name, text, target), name)
	}
	// Into a separate value: other problems are reported now, but the section's values are not used.
	other := defaultConfig()
	var found problems.List
	found.Merge(problems.Hide(decodeSection(name, text, other.sections()[name]), name))
	secrets := sortedKeys(secret.Fields(c.sections()[name]))
	if len(secrets) == 0 {
		secrets = sortedKeys(c.secretKeys())
	}
	found.Merge(problems.Problem{Path: name, Got: "a secret value", Want: fmt.Sprintf("none among its keys: they become names, "+
		"labels and settings that everybody can read. Find its line \"secure:\" in the stack's file and run: pulumi config rm "+
		"--path %s.KEY; what has to be secret is a key of its own: pulumi config set --secret %s", name, strings.Join(secrets, " or "))})
	return true, found.Err()
}

func decodeSection(name, text string, target any) error {
	var found problems.List
	var object map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &object); err != nil {
		found.Add(name, text, fmt.Sprintf("an object with the keys %s; run: pulumi config rm %s; pulumi config set --path %s.KEY VALUE",
			strings.Join(strict.Keys(target), ", "), name, name))
		return found.Err()
	}
	for _, problem := range problemsOf(strict.Decode([]byte(text), name, target)) {
		found.Merge(nameSecret(problem))
	}
	return found.Err()
}

func problemsOf(err error) []error {
	var list problems.List
	list.Merge(err)
	return list.All()
}

// nameSecret adds the right key to a problem with a secret that was put among an object's keys.
func nameSecret(err error) error {
	var problem problems.Problem
	if errors.As(err, &problem) && problem.Got == strict.UnknownKey {
		if key := secretFor(problem.Path); key != "" {
			problem.Want = fmt.Sprintf("the secret %s; run: pulumi config rm --path %s; pulumi config set --secret %s",
				key, problem.Path, key)
			return problem
		}
	}
	return err
}

// secretFor returns the secret key that a path probably means, or "": iris.password and iris.registry.password are spelt
// irisPassword and irisRegistryPassword.
func secretFor(path string) string {
	cfg, spelt := Config{}, strings.ToLower(strings.ReplaceAll(path, ".", ""))
	for _, key := range sortedKeys(cfg.secretKeys()) {
		bare := strings.TrimPrefix(strings.ToLower(key), "iris")
		if strings.HasSuffix(spelt, strings.ToLower(key)) || spelt == bare || strict.Resembles(key, path) {
			return key
		}
	}
	return ""
}

// checkTopLevelKeys reports keys of our namespace that do not exist. encoded is the configuration as the engine hands
// it to the program; the SDK can look keys up but not list them.
func checkTopLevelKeys(project, encoded string, cfg *Config) error {
	if encoded == "" {
		return nil // Not started by the engine: a test.
	}
	var given map[string]json.RawMessage
	if err := json.Unmarshal([]byte(encoded), &given); err != nil {
		return errors.New("the engine's configuration is not a JSON object") // The cause could quote a secret.
	}
	valid := append(sortedKeys(cfg.sections()), sortedKeys(cfg.secretKeys())...)
	var found problems.List
	for _, key := range sortedKeys(given) {
		name, ours := strings.CutPrefix(key, project+":")
		if ours && !slices.Contains(valid, name) {
			found.Merge(problems.Problem{Path: name, Got: strict.UnknownKey, Want: cfg.insteadOf(name, valid)})
		}
	}
	return found.Err()
}

// insteadOf returns what a top-level key that does not exist was probably meant to be, with the commands that correct it.
func (c *Config) insteadOf(name string, valid []string) string {
	remove := "run: pulumi config rm " + name + "; "
	if key := secretFor(name); key != "" {
		return fmt.Sprintf("the secret %s; %spulumi config set --secret %s", key, remove, key)
	}
	paths := c.paths()
	if slices.Contains(paths, name) {
		return fmt.Sprintf("the same with --path, which puts it into its object; %spulumi config set --path %s VALUE", remove, name)
	}
	if meant := pathsLike(paths, name); len(meant) > 0 {
		return fmt.Sprintf("%s, perhaps; %spulumi config set --path %s VALUE", strings.Join(meant, " or "), remove, meant[0])
	}
	for _, key := range valid {
		if strict.Resembles(key, name) {
			return fmt.Sprintf("%s, perhaps; the keys are %s", key, strings.Join(valid, ", "))
		}
	}
	return "one of " + strings.Join(valid, ", ")
}

// pathsLike returns the paths that a name may be short for, or misspelt.
func pathsLike(paths []string, name string) []string {
	if strings.Contains(name, ".") {
		return matching(paths, func(path string) bool { return strict.Resembles(path, name) })
	}
	return matching(paths, func(path string) bool { return strings.EqualFold(path[strings.LastIndex(path, ".")+1:], name) })
}

func matching(paths []string, holds func(path string) bool) []string {
	return slices.DeleteFunc(slices.Clone(paths), func(path string) bool { return !holds(path) })
}

// paths returns the dotted path of every key below the objects.
func (c *Config) paths() []string {
	var paths []string
	for _, name := range sortedKeys(c.sections()) {
		paths = appendPaths(paths, name, reflect.TypeOf(c.sections()[name]).Elem())
	}
	return paths
}

func appendPaths(paths []string, prefix string, structType reflect.Type) []string {
	for _, field := range strict.Fields(structType) {
		paths = append(paths, prefix+"."+field.Key)
		if field.Type.Kind() == reflect.Struct {
			paths = appendPaths(paths, prefix+"."+field.Key, field.Type)
		}
	}
	return paths
}
