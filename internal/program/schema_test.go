package program

import (
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	pulumiconfig "github.com/pulumi/pulumi/sdk/v3/go/common/resource/config"

	"ha-iris/cluster"
	"ha-iris/internal/secret"
	"ha-iris/internal/strict"
)

// The structs and their doc comments are the one source of the configuration's keys, types, defaults and descriptions
// and of the outputs. Pulumi.yaml and the tables of docs/configuration.md are written from them and checked here.

// referencePage lists the keys, the outputs and the images.
const referencePage = "docs/configuration.md"

// key is one key of the configuration.
type key struct {
	Path, Type, Doc string
	Default         any
}

func TestPulumiYAML_DeclaresEveryKey(t *testing.T) {
	var lines strings.Builder
	for _, k := range configKeys(t) {
		encoded, err := json.Marshal(k.Default)
		if err != nil {
			t.Fatalf("encode default of %s: %v", k.Path, err)
		}
		fmt.Fprintf(&lines, "  %s:\n    description: %q\n    default: %s\n", k.Path, k.Type+". "+k.Doc, encoded)
	}
	checkGenerated(t, "Pulumi.yaml", "  # config:begin\n", "  # config:end\n", lines.String())
}

func TestReference_ListsEveryKey(t *testing.T) {
	var table strings.Builder
	table.WriteString("| key | type | default | meaning |\n|---|---|---|---|\n")
	for _, k := range configKeys(t) {
		encoded, err := json.Marshal(k.Default)
		if err != nil {
			t.Fatalf("encode default of %s: %v", k.Path, err)
		}
		shown := "`" + strings.Trim(string(encoded), `"`) + "`"
		if shown == "``" {
			shown = ""
		}
		if k.Path == "iris.image" {
			shown = "Community 2026.1, by digest" // The digest is too long for a table; Pulumi.yaml shows it.
		}
		fmt.Fprintf(&table, "| `%s` | %s | %s | %s |\n", k.Path, strings.ToLower(k.Type), shown, strings.ReplaceAll(k.Doc, "|", `\|`))
	}
	checkGenerated(t, referencePage, "<!-- config:begin -->\n", "<!-- config:end -->\n", table.String())
}

func TestReference_ListsEveryOutput(t *testing.T) {
	docs := fieldDocs(t, "internal/program", "Outputs")
	var table strings.Builder
	table.WriteString("| output | type | meaning |\n|---|---|---|\n")
	outputs := reflect.TypeFor[Outputs]()
	for i := range outputs.NumField() {
		field := outputs.Field(i)
		kind := "string"
		if strings.Contains(field.Type.Name(), "Int") {
			kind = "integer"
		}
		fmt.Fprintf(&table, "| `%s` | %s | %s |\n", field.Tag.Get("pulumi"), kind, describe(field.Name, docs[field.Name]))
	}
	checkGenerated(t, referencePage, "<!-- outputs:begin -->\n", "<!-- outputs:end -->\n", table.String())
}

// configKeys lists every key in the order in which a reader meets them.
func configKeys(t *testing.T) []key {
	t.Helper()
	cfg := defaultConfig()
	var keys []key
	for _, section := range []struct {
		name, dir string
		values    any
	}{{"cluster", "cluster", cfg.Cluster}, {"storage", "storage", cfg.Storage}, {"iris", "iris", cfg.IRIS}, {"failover", "iris", cfg.IRIS.Failover}} {
		keys = append(keys, structKeys(t, section.dir, section.name, reflect.ValueOf(section.values))...)
	}
	for _, name := range sortedKeys(cfg.secretKeys()) {
		keys = append(keys, key{Path: name, Type: "Secret", Doc: secretDoc(t, &cfg, name), Default: ""})
	}
	return keys
}

func structKeys(t *testing.T, dir, path string, values reflect.Value) []key {
	t.Helper()
	docs := fieldDocs(t, dir, values.Type().Name())
	var keys []key
	for _, field := range strict.Fields(values.Type()) {
		value := values.FieldByName(field.Name)
		fieldPath := path + "." + field.Key
		if field.Type.Kind() == reflect.Struct {
			keys = append(keys, structKeys(t, dir, fieldPath, value)...)
			continue
		}
		doc := docs[field.Name]
		if doc == "" {
			t.Errorf("%s.%s has no comment to describe %s with", values.Type().Name(), field.Name, fieldPath)
		}
		typeName := strict.TypeName(field.Type)
		one := key{
			Path: fieldPath, Type: strings.ToUpper(typeName[:1]) + typeName[1:], Doc: describe(field.Name, doc),
			Default: plain(value),
		}
		if path == "cluster" {
			one.Doc = strings.TrimSpace(one.Doc + " " + describeClouds(field.Key))
		}
		keys = append(keys, one)
	}
	return keys
}

// describeClouds says which kinds of cluster know a key, with what is particular there.
func describeClouds(key string) string {
	notes, everywhere := cluster.Notes(key)
	var names, remarks, defaults []string
	for _, note := range notes {
		names = append(names, string(note.Cloud))
		if note.Text != "" {
			remarks = append(remarks, fmt.Sprintf("On %s: %s.", note.Cloud, note.Text))
		}
		if note.Default != "" {
			defaults = append(defaults, fmt.Sprintf("%s (%s)", note.Default, note.Cloud))
		}
	}
	if len(names) > 0 && !everywhere {
		remarks = append([]string{"Only on " + strings.Join(names, ", ") + "."}, remarks...)
	}
	if len(defaults) > 0 {
		remarks = append(remarks, "Default: "+strings.Join(defaults, ", ")+".")
	}
	return strings.Join(remarks, " ")
}

// plain turns a nil list or map into an empty one, because the CLI hands null to nobody.
func plain(value reflect.Value) any {
	switch {
	case value.Kind() == reflect.Slice && value.IsNil():
		return []string{}
	case value.Kind() == reflect.Map && value.IsNil():
		return map[string]string{}
	default:
		return value.Interface()
	}
}

// secretField is a field of type secret.Value, somewhere in a section of the configuration.
type secretField struct {
	dir, structName string
	field           reflect.StructField
}

// secretFields finds all of them, whether they have a tag or not.
func secretFields(dir string, structType reflect.Type) []secretField {
	var found []secretField
	for i := range structType.NumField() {
		field := structType.Field(i)
		switch {
		case field.Type == reflect.TypeFor[secret.Value]():
			found = append(found, secretField{dir, structType.Name(), field})
		case field.IsExported() && field.Type.Kind() == reflect.Struct:
			found = append(found, secretFields(dir, field.Type)...)
		}
	}
	return found
}

// Every secret of every section is filled from a key of its own, or a user's secret would be read by nobody.
func TestSecrets_HaveAKeyOfTheirOwn(t *testing.T) {
	cfg := Config{}
	var keys []string
	for dir, section := range cfg.sections() {
		for _, one := range secretFields(dir, reflect.TypeOf(section).Elem()) {
			key := one.field.Tag.Get(secret.Tag)
			if key == "" || slices.Contains(keys, key) || !one.field.IsExported() || one.field.Tag.Get("json") != "-" {
				t.Errorf("%s.%s.%s has the tags %q: no key that is its own, or it is part of an object too", dir, one.structName, one.field.Name, one.field.Tag)
			}
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	if got := sortedKeys(cfg.secretKeys()); len(keys) == 0 || !slices.Equal(got, keys) {
		t.Errorf("the program reads %v, the sections have %v", got, keys)
	}
}

// secretDoc finds the comment of the field that a top-level secret fills.
func secretDoc(t *testing.T, cfg *Config, name string) string {
	t.Helper()
	for dir, section := range cfg.sections() {
		for _, one := range secretFields(dir, reflect.TypeOf(section).Elem()) {
			if one.field.Tag.Get(secret.Tag) == name {
				return describe(one.field.Name, fieldDocs(t, dir, one.structName)[one.field.Name])
			}
		}
	}
	t.Fatalf("no field receives the secret %s", name)
	return ""
}

// describe turns a field's doc comment into a description: without the field's name in front and the default at the end,
// which have columns of their own.
func describe(field, doc string) string {
	doc = regexp.MustCompile(`\s*Default: .*$`).ReplaceAllString(strings.Join(strings.Fields(doc), " "), "")
	doc = regexp.MustCompile(`^`+field+` (is|are) `).ReplaceAllString(doc, "")
	doc = strings.TrimSuffix(strings.TrimPrefix(doc, field+" "), ".")
	if doc == "" {
		return ""
	}
	runes := []rune(doc)
	runes[0] = unicode.ToUpper(runes[0])
	return string(runes) + "."
}

// fieldDocs reads the doc comments of a struct's fields from the package's source.
func fieldDocs(t *testing.T, dir, structName string) map[string]string {
	t.Helper()
	packages, err := parser.ParseDir(token.NewFileSet(), dir, nil, parser.ParseComments) //nolint:staticcheck // No build tags are in play; go/packages would compile everything.
	if err != nil {
		t.Fatalf("parse %s: %v", dir, err)
	}
	docs := map[string]string{}
	for _, p := range packages {
		ast.Inspect(p, func(node ast.Node) bool {
			spec, ok := node.(*ast.TypeSpec)
			if !ok || spec.Name.Name != structName {
				return true
			}
			if structType, ok := spec.Type.(*ast.StructType); ok {
				for _, field := range structType.Fields.List {
					for _, name := range field.Names {
						docs[name.Name] = field.Doc.Text()
					}
				}
			}
			return false
		})
	}
	if len(docs) == 0 {
		t.Fatalf("no struct %s in %s", structName, dir)
	}
	return docs
}

// checkGenerated compares the text between two marker lines of a file, or rewrites it when the test runs with -update.
func checkGenerated(t *testing.T, file, begin, end, want string) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("read %s: %v", file, err)
	}
	before, rest, foundBegin := strings.Cut(string(content), begin)
	got, after, foundEnd := strings.Cut(rest, end)
	if !foundBegin || !foundEnd {
		t.Fatalf("%s lacks the markers %q and %q", file, begin, end)
	}
	if got == want {
		return
	}
	if flag.Lookup("update").Value.String() != "true" {
		t.Errorf("%s does not match the code; run: go test ./internal/program -update\n--- want\n%s", file, want)
		return
	}
	if err := os.WriteFile(file, []byte(before+begin+want+end+after), 0o644); err != nil { //nolint:gosec // A committed file, readable by all.
		t.Fatalf("write %s: %v", file, err)
	}
}

// The CLI does not hand a default over as it stands: it sets it as `pulumi config set --path` would, which makes a number
// of "1". Every default must still be what the program takes.
func TestPulumiYAML_DefaultsAreAcceptedAsTheCLIHandsThemOver(t *testing.T) {
	t.Parallel()
	given := pulumiconfig.Map{}
	for _, k := range configKeys(t) {
		encoded, err := json.Marshal(k.Default)
		if err != nil {
			t.Fatalf("encode default of %s: %v", k.Path, err)
		}
		value := pulumiconfig.NewObjectValue(string(encoded))
		if text, isText := reflect.ValueOf(k.Default), reflect.ValueOf(k.Default).Kind() == reflect.String; isText {
			value = pulumiconfig.NewValue(text.String())
		}
		if err := given.Set(pulumiconfig.MustMakeKey("ha-iris", k.Path), value, true); err != nil {
			t.Fatalf("set %s: %v", k.Path, err)
		}
	}
	decrypted, err := given.Decrypt(pulumiconfig.NopDecrypter)
	if err != nil {
		t.Fatalf("hand over: %v", err)
	}
	want, got := defaultConfig(), defaultConfig()
	got.IRIS.CPU, got.Storage.Replicas = "", 0 // So that not decoding anything would show.
	for name, target := range got.sections() {
		text := decrypted[pulumiconfig.MustMakeKey("ha-iris", name)]
		if name == "iris" && !strings.Contains(text, `"cpu":1`) {
			t.Fatalf("the CLI's way with a default of \"1\" has changed, and this test proves nothing: %s", text)
		}
		if err := strict.Decode([]byte(text), name, target); err != nil {
			t.Errorf("the defaults of %s: %v", name, err)
		}
	}
	if got.IRIS.CPU != want.IRIS.CPU || got.Storage.Replicas != want.Storage.Replicas {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
