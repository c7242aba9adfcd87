package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	pathLike   = regexp.MustCompile(`^\.?[\w-]+(/[\w.-]+)+/?$|^[\w-]+/$|^\.?[\w.-]+\.(go|yaml|md)$|^Makefile$`)
	identifier = regexp.MustCompile(`^(?:([a-z]+)\.)?([A-Za-z]\w*)$`)
	// written is a file that a command or a test writes.
	written = regexp.MustCompile(`\.(json|txt|log)$`)
	// variable is how a workflow names what its GitHub environment gives it.
	variable = regexp.MustCompile(`(?:vars|secrets)\.([A-Z_]+)`)
	// placeholders stand for the name of what is added, for a stack's and for a key's.
	placeholders = strings.NewReplacer("NAME", "*", "ENV", "*", "KEY", "*")
)

func TestContributing_NamesFilesThatExist(t *testing.T) {
	t.Parallel()
	named := 0
	for _, match := range codeSpan.FindAllStringSubmatch(read(t, "CONTRIBUTING.md"), -1) {
		if !pathLike.MatchString(match[1]) {
			continue
		}
		named++
		found := 0
		for _, dir := range []string{"", ".github/workflows"} {
			paths, err := filepath.Glob(filepath.Join(root, dir, placeholders.Replace(match[1])))
			if err != nil {
				t.Fatalf("look for %s: %v", match[1], err)
			}
			found += len(paths)
		}
		if found == 0 {
			t.Errorf("there is no %s", match[1])
		}
	}
	if named < 30 {
		t.Errorf("only %d paths found; the check proves little", named)
	}
}

// What a recipe calls by its name was renamed when nothing of that name is declared any more.
func TestContributing_NamesWhatIsDeclared(t *testing.T) {
	t.Parallel()
	known := declared(t)
	for _, name := range targets(t) {
		known[name] = true
	}
	for _, workflow := range []string{"preview.yaml", "up.yaml", "drift.yaml"} {
		for _, match := range variable.FindAllStringSubmatch(read(t, ".github/workflows/"+workflow), -1) {
			known[match[1]] = true
		}
	}
	for _, match := range codeSpan.FindAllStringSubmatch(prose(read(t, "CONTRIBUTING.md")), -1) {
		name := identifier.FindStringSubmatch(match[1])
		if name == nil || pathLike.MatchString(match[1]) || written.MatchString(match[1]) || isElsewhere(t, match[1], name[1]) {
			continue
		}
		pattern := placeholders.Replace(name[2])
		if !slices.ContainsFunc(slices.Collect(maps.Keys(known)), func(one string) bool {
			matches, err := filepath.Match(pattern, one)
			return err == nil && matches
		}) {
			t.Errorf("nothing is declared as %s", match[1])
		}
	}
}

// isElsewhere says whether a name is one of the configuration or of somebody else: no recipe is wrong because of it.
func isElsewhere(t *testing.T, name, pkg string) bool {
	t.Helper()
	others := []string{"json", "tool", "main", "actionlint", "allowVolumeExpansion", "e2e", "PULUMI_CONFIG_PASSPHRASE"}
	return slices.Contains(others, name) || pkg == "pulumi" || isKey(keys(t), name)
}

// declared are the names that the repository's Go files declare: functions, methods, types, fields, constants and variables,
// and the values of constants that have a type (aks, eks ...).
func declared(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	add := func(idents ...*ast.Ident) {
		for _, one := range idents {
			names[one.Name] = true
		}
	}
	for file, source := range files(t, ".", ".go") {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, source, parser.SkipObjectResolution)
		if err != nil {
			t.Fatalf("parse: %v", err)
		}
		ast.Inspect(parsed, func(node ast.Node) bool {
			switch one := node.(type) {
			case *ast.FuncDecl:
				add(one.Name)
			case *ast.TypeSpec:
				add(one.Name)
			case *ast.Field: // Of a struct, an interface, or a function's parameters.
				add(one.Names...)
			case *ast.ValueSpec:
				add(one.Names...)
				for _, value := range one.Values {
					if literal, isLiteral := value.(*ast.BasicLit); isLiteral && one.Type != nil {
						names[strings.Trim(literal.Value, `"`)] = true
					}
				}
			}
			return true
		})
	}
	return names
}
