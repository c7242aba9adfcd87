// Package recipes_test keeps CONTRIBUTING.md and the repository's own files true by doing what they say.
package recipes_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// "Add a configuration key": the tests say which command is missing, and the command does the rest.
func TestRecipe_AddAConfigurationKey(t *testing.T) {
	t.Parallel()
	c := newScratch(t)
	c.edit("storage/config.go", "type Config struct {\n",
		"type Config struct {\n\t// Scratch is what this test adds. Default: none.\n\tScratch string `json:\"scratch\"`\n")
	test := c.compileTests("internal/program", "-test.run=^(TestPulumiYAML_|TestReference_)")
	if failure, want := c.passesAfterUpdate(test), "run: go test ./internal/program -update"; !strings.Contains(failure, want) {
		t.Errorf("the failure does not say %q:\n%s", want, failure)
	}
	c.wrote("Pulumi.yaml", "storage.scratch")
	c.wrote("docs/configuration.md", "storage.scratch")
	c.didWhatTheRecipeSays("Add a configuration key", "cluster/config.go", "iris/config.go", "storage/longhorn_config.go") // The other sections.
	c.touchesAFew()
}

// "Add an output", with one of the database's.
func TestRecipe_AddAnOutput(t *testing.T) {
	t.Parallel()
	c := newScratch(t)
	c.edit("iris/iris.go", "\tSuperserverPort pulumi.IntOutput\n",
		"\tSuperserverPort pulumi.IntOutput\n\t// Claim is made up.\n\tClaim pulumi.StringOutput\n")
	c.edit("iris/iris.go", "\ti.Namespace, i.ServiceName = ",
		"\ti.Claim = data.claim.Metadata.Name().Elem()\n\ti.Namespace, i.ServiceName = ")
	c.edit("iris/iris.go", "\t\t\"portalUrl\": i.PortalURL,", "\t\t\"claim\": i.Claim, \"portalUrl\": i.PortalURL,")
	c.edit("internal/program/outputs.go", "type Outputs struct {\n",
		"type Outputs struct {\n\t// Claim is the claim of the volume. Made up.\n\tClaim pulumi.StringOutput `pulumi:\"scratchClaim\"`\n")
	c.edit("internal/program/outputs.go", "\treturn &Outputs{\n", "\treturn &Outputs{\n\t\tClaim: database.Claim,\n")
	test := c.compileTests("internal/program", "-test.run=^(TestReference_|TestProgram_KeepsTheInvariantsOnEveryTarget)/^existing")
	c.passesAfterUpdate(test)
	c.wrote("docs/configuration.md", "scratchClaim")
	c.didWhatTheRecipeSays("Add an output")
	c.touchesAFew()
}

// "Add a component to iris/", with one that is made up.
func TestRecipe_AddAComponent(t *testing.T) {
	t.Parallel()
	c := newScratch(t)
	c.edit("iris/component.go", "[]component{c.database()}", "[]component{c.database(), c.scratchComponent()}")
	const before = "\trollout := s.newRollout("
	c.edit("iris/iris.go", before,
		"\tif err := s.scratch(data.namespace, configuration, policies); err != nil {\n\t\treturn err\n\t}\n"+before)
	c.add("testdata/component")

	// Not the tests that need what is outside of the copy.
	c.passesAfterUpdate(c.compileTests("iris", "-test.run=^(TestNew_|TestManifests_|TestComponent|TestPods?_|TestData_|TestScratch_|TestNeeds_HaveEveryPod)"))
	c.didWhatTheRecipeSays("Add a component to iris/",
		"iris/prepull.go", "iris/iris_test.go", "internal/survey/rights.go", // Take a key, and a kind of object that is new.
	)
	c.touchesAFew()
}

// "Add a cloud", with one that is made up.
func TestRecipe_AddACloud(t *testing.T) {
	t.Parallel()
	c := newScratch(t)
	c.edit("cluster/clouds.go", "gkeKind(), existingKind()}", "gkeKind(), scratchKind(), existingKind()}")
	c.edit("cluster/config.go", "\t// KubeconfigPath is", "\t// Depth is made up.\n\tDepth int `json:\"depth\"`\n\t// KubeconfigPath is")
	c.edit("internal/testkit/cloudmocks.go", "\t\t\t\"aws:iam/role:Role\":",
		"\t\t\t\"scratch:index:Cluster\": {\"name\": name, \"kubeconfig\": \"kind: Config\"},\n\t\t\t\"aws:iam/role:Role\":")
	c.edit("cluster/config_test.go", "one of aks, eks, gke, existing", "one of aks, eks, gke, scratch, existing")
	c.edit("cluster/cluster_test.go", "one of aks, eks, gke, existing", "one of aks, eks, gke, scratch, existing")
	c.edit("cluster/cluster_test.go", "\t\t\"existing\":    {existing,",
		"\t\t\"scratch\": {tagged(Scratch, nil), \"pulumi:providers:scratch\", \"scratch:\"},\n\t\t\"existing\":    {existing,")
	c.add("testdata/cloud")

	// Without those of one cloud alone, which take minutes and cannot know of another.
	if output, passed := c.compileTests("cluster", "-test.run=^Test(Config|Every|Kube|Cluster|StackFiles|Optional|Validate|WithDefaults|New_)")(); !passed {
		t.Errorf("the cluster's tests fail:\n%s", output)
	}
	c.passesAfterUpdate(c.compileTests("internal/program", "-test.run=^(TestProgram_KeepsTheInvariants|TestProgram_AsksFor|TestPulumiYAML_|TestReference_)"))
	c.didWhatTheRecipeSays("Add a cloud",
		"internal/testkit/clouds.go", ".golangci.yaml", // Take a cloud that has an SDK.
		"test/standin", "test/e2e/clouds_test.go", "ops/policy/check", ".github/actions/setup/action.yaml", "cluster/gke.go",
	)
	c.touchesAFew("cluster/config.go") // The key of its own is the first recipe.
}

// "Add a storage driver", with one that is made up.
func TestRecipe_AddAStorageDriver(t *testing.T) {
	t.Parallel()
	c := newScratch(t)
	c.edit("storage/driver.go", "\tlonghorn,\n", "\tlonghorn,\n\tscratch,\n")
	c.edit("storage/driver.go", "{ return drivers[0] }",
		"{\n\tfor _, d := range drivers {\n\t\tif d.name == c.Driver {\n\t\t\treturn d\n\t\t}\n\t}\n\treturn drivers[0]\n}\n\n"+
			"func driverNames() (names string) {\n\tfor _, d := range drivers {\n\t\tnames += \" \" + d.name\n\t}\n\treturn names\n}")
	c.edit("storage/config.go", "type Config struct {\n",
		"type Config struct {\n\t// Driver says what is installed: Longhorn or Scratch. Default: Longhorn.\n\tDriver string `json:\"driver\"`\n")
	c.edit("storage/config.go", "\tif c.Install {", "\tif c.Driver != \"\" && c.Driver != c.driver().name {\n"+
		"\t\tfound.Add(\"storage.driver\", c.Driver, \"one of\"+driverNames())\n\t}\n\tif c.Install {")
	c.add("testdata/driver")

	c.passesAfterUpdate(c.compileTests("storage"))
	c.vet(".")
	c.didWhatTheRecipeSays("Add a storage driver", "storage/longhorn.go", "storage/longhorn_nodeprep.go", "internal/traits/traits.go",
		"ops/policy/check/data.go", "sandbox", "README.md")
	c.touchesAFew()
}

// wrote expects that an update of generated files put a text into one.
func (c *scratch) wrote(file, text string) {
	c.t.Helper()
	content, err := os.ReadFile(filepath.Join(c.dir, file))
	if err != nil {
		c.t.Fatalf("read: %v", err)
	}
	if !strings.Contains(string(content), text) {
		c.t.Errorf("%s has no %s after the update", file, text)
	}
	c.changed = append(c.changed, file)
}

// touchesAFew fails when a recipe for what is added often changes more than three files beside tests and documentation: one
// that describes the thing, one that chooses it, one that uses it.
// What this recipe leaves to another is not counted, nor is what stands in for a cloud in tests.
func (c *scratch) touchesAFew(others ...string) {
	c.t.Helper()
	var product []string
	for _, file := range c.changed {
		isTest := strings.HasSuffix(file, "_test.go") || strings.HasPrefix(file, "internal/testkit/")
		if !isTest && !strings.HasSuffix(file, ".md") && !slices.Contains(others, file) {
			product = append(product, file)
		}
	}
	if len(product) > 3 || len(product) == 0 {
		c.t.Errorf("the recipe changes %v, want one to three files", product)
	}
}

// placeholder stands in CONTRIBUTING.md for the name of what is added.
const placeholder = "NAME"

var (
	codeSpan = regexp.MustCompile("`([^`\n]+)`")
	pathLike = regexp.MustCompile(`^\.?[\w-]+(/[\w.-]+)+/?$|^[\w-]+/$|^\.?[\w.-]+\.(go|yaml|md)$|^Makefile$`)
)

// recipePaths are the files and directories that a recipe of CONTRIBUTING.md names.
func recipePaths(t *testing.T, heading string) []string {
	t.Helper()
	_, rest, found := strings.Cut(readFile(t, "CONTRIBUTING.md"), "\n### "+heading+"\n")
	if !found {
		t.Fatalf("CONTRIBUTING.md has no recipe %q", heading)
	}
	text, _, _ := strings.Cut(rest, "\n##")
	var paths []string
	for _, match := range codeSpan.FindAllStringSubmatch(text, -1) {
		if path := strings.TrimSuffix(match[1], "/"); pathLike.MatchString(match[1]) && !slices.Contains(paths, path) {
			paths = append(paths, path)
		}
	}
	return paths
}

// didWhatTheRecipeSays compares what a test did with the files that the recipe names: everything that it did, and nothing
// that it neither did nor expressly leaves to those who have a real case.
func (c *scratch) didWhatTheRecipeSays(heading string, left ...string) {
	c.t.Helper()
	var named []string
	for _, path := range recipePaths(c.t, heading) {
		named = append(named, strings.ReplaceAll(path, placeholder, "scratch"))
	}
	for _, path := range c.changed {
		if !slices.Contains(named, path) {
			c.t.Errorf("%q does not say that %s has to be changed", heading, path)
		}
	}
	for _, path := range named {
		if !slices.Contains(c.changed, path) && !slices.Contains(left, path) {
			c.t.Errorf("%q names %s, which this test does not change", heading, path)
		}
	}
	for _, path := range left {
		if !slices.Contains(named, path) {
			c.t.Errorf("%q no longer names %s", heading, path)
		}
	}
}
