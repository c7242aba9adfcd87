package pattern_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// Every pattern that the program writes down compiles, and none is compiled as the process starts.
func TestLazy_EveryPatternOfTheProgram(t *testing.T) {
	root := filepath.Join("..", "..")
	found := 0
	for _, dir := range []string{"cluster", "storage", "iris", "internal"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") || strings.Contains(path, "testkit") {
				return err
			}
			found += checkPatterns(t, path)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if found < 30 {
		t.Fatalf("found %d patterns: the program has more", found)
	}
}

// checkPatterns compiles what a file gives to Lazy and returns how many that were.
func checkPatterns(t *testing.T, path string) (found int) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, declaration := range file.Decls {
		general, isGeneral := declaration.(*ast.GenDecl)
		if !isGeneral {
			continue
		}
		ast.Inspect(general, func(node ast.Node) bool {
			call, isCall := node.(*ast.CallExpr)
			if !isCall {
				return true
			}
			switch called(call) {
			case "regexp.MustCompile":
				t.Errorf("%s: a regular expression is compiled as the process starts; use pattern.Lazy", path)
			case "pattern.Lazy":
				found++
				expression, isLiteral := literal(call.Args[0])
				if !isLiteral {
					t.Errorf("%s: pattern.Lazy is called with something else than a literal, which is not known to compile", path)
				} else if _, err := regexp.Compile(expression); err != nil {
					t.Errorf("%s: %v", path, err)
				}
			}
			return true
		})
	}
	return found
}

func called(call *ast.CallExpr) string {
	selector, isSelector := call.Fun.(*ast.SelectorExpr)
	if !isSelector {
		return ""
	}
	if of, isName := selector.X.(*ast.Ident); isName {
		return of.Name + "." + selector.Sel.Name
	}
	return ""
}

// literal returns a text that stands there, also as a sum of texts.
func literal(expression ast.Expr) (string, bool) {
	switch one := expression.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(one.Value)
		return text, err == nil
	case *ast.Ident: // A constant of the same file.
		if one.Obj != nil {
			if spec, isValue := one.Obj.Decl.(*ast.ValueSpec); isValue && one.Obj.Kind == ast.Con && len(spec.Values) == 1 {
				return literal(spec.Values[0])
			}
		}
	case *ast.BinaryExpr:
		left, leftOK := literal(one.X)
		right, rightOK := literal(one.Y)
		return left + right, leftOK && rightOK && one.Op == token.ADD
	}
	return "", false
}
