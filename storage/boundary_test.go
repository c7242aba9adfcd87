package storage

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// Files of one driver are those whose name begins with its own. The others are for every driver: they reach this one through its
// value in the table alone, and so could do without it.
func TestLonghorn_IsKnownToItsOwnFilesAndTheTableOnly(t *testing.T) {
	t.Parallel()
	files := parsePackage(t)
	own := map[string]bool{}
	for path, file := range files {
		if strings.HasPrefix(path, "longhorn") {
			for _, name := range declared(file) {
				own[name] = name != "String" // Everybody's.
			}
		}
	}
	if !own["longhorn"] || !own["chartValues"] || !own["guardRelease"] {
		t.Fatalf("found only %d names; the check proves little", len(own))
	}
	checked := 0
	for path, file := range files {
		if strings.HasPrefix(path, "longhorn") {
			continue
		}
		checked++
		for _, used := range usedFrom(file) {
			if own[used] && (path != "driver.go" || used != "longhorn") {
				t.Errorf("%s uses %s, which is Longhorn's", path, used)
			}
		}
		for _, text := range words(file) {
			if strings.Contains(strings.ToLower(text), "longhorn") {
				t.Errorf("%s names Longhorn: %s", path, strings.TrimSpace(text))
			}
		}
	}
	if checked < 5 {
		t.Errorf("only %d files that are for every driver; the check proves little", checked)
	}
}

// parsePackage returns the package's files without its tests.
func parsePackage(t *testing.T) map[string]*ast.File {
	t.Helper()
	paths, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]*ast.File{}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		if files[path], err = parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments); err != nil {
			t.Fatalf("parse: %v", err)
		}
	}
	return files
}

// declared are the names that a file declares for the whole package, methods included.
func declared(file *ast.File) []string {
	var names []string
	for _, declaration := range file.Decls {
		switch typed := declaration.(type) {
		case *ast.FuncDecl:
			names = append(names, typed.Name.Name)
		case *ast.GenDecl:
			for _, spec := range typed.Specs {
				switch one := spec.(type) {
				case *ast.TypeSpec:
					names = append(names, one.Name.Name)
				case *ast.ValueSpec:
					for _, name := range one.Names {
						names = append(names, name.Name)
					}
				}
			}
		}
	}
	return names
}

// usedFrom lists the names that a file uses without declaring them: those of other files, and methods that it calls.
func usedFrom(file *ast.File) []string {
	var names []string
	for _, name := range file.Unresolved {
		names = append(names, name.Name)
	}
	ast.Inspect(file, func(node ast.Node) bool {
		if call, isCall := node.(*ast.CallExpr); isCall {
			if selector, isSelector := call.Fun.(*ast.SelectorExpr); isSelector {
				names = append(names, selector.Sel.Name)
			}
		}
		return true
	})
	return names
}

// words are a file's comments and texts, but for the documentation of the configuration's keys, which is for users.
func words(file *ast.File) []string {
	var documentation []*ast.CommentGroup
	var found []string
	ast.Inspect(file, func(node ast.Node) bool {
		switch typed := node.(type) {
		case *ast.TypeSpec:
			if structure, isStruct := typed.Type.(*ast.StructType); isStruct && typed.Name.Name == "Config" {
				for _, field := range structure.Fields.List {
					documentation = append(documentation, field.Doc)
				}
			}
		case *ast.BasicLit:
			found = append(found, typed.Value)
		}
		return true
	})
	for _, group := range file.Comments {
		if !slices.Contains(documentation, group) {
			found = append(found, group.Text())
		}
	}
	return found
}

// A field that is left out would be found by whoever asks for it, in the middle of a run.
func TestDrivers_SayEverything(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	for _, d := range drivers {
		value := reflect.ValueOf(d)
		for i := range value.NumField() {
			if value.Field(i).IsZero() {
				t.Errorf("%s: %s is not set", d.name, value.Type().Field(i).Name)
			}
		}
		if names[d.name] {
			t.Errorf("%s is in the table twice", d.name)
		}
		names[d.name] = true
	}
}
