package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ha-iris/ops/policy/check"
)

func recording(name string) string { return filepath.Join("check", "testdata", name+".json") }

func TestRun_ExitsByWhatItFound(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		args        []string
		code        int
		out, stderr string
	}{
		"clean":              {[]string{recording("create")}, 0, "preview of 17 resources: violations 0, allowed 0\n", ""},
		"violations":         {[]string{recording("bad-export")}, 1, "unpinned-image", ""},
		"a refused deletion": {[]string{recording("delete")}, 1, "would be deleted", "which failed"},
		"a failed preview":   {[]string{recording("failed")}, 2, "", "program failed"},
		"left-out resources": {[]string{recording("update-without-sames")}, 0, "", "16 unchanged resources were not checked"},
		"allowed": {[]string{
			"--allow", "data-loss=*::Shop::*", "--allow", "data-loss=*", recording("destroy"),
		}, 0, "violations 0, allowed 5", "--allow data-loss=*::Shop::* accepts nothing"},
		"allowed in part": {[]string{"--allow", "data-loss=*:PersistentVolumeClaim::orders", recording("destroy")}, 1, "violations 4, allowed 1", ""},
		"another rule":    {[]string{"--allow", "unpinned-image=*", recording("destroy")}, 1, "violations 5, allowed 0", "accepts nothing"},
		"help":            {[]string{"--help"}, 0, "Usage:", ""},
		"no file":         {nil, 2, "", "got 0 files"},
		"two files":       {[]string{"a", "b"}, 2, "", "got 2 files"},
		"a missing file":  {[]string{recording("missing")}, 2, "", "no such file"},
		"an unknown rule": {[]string{"--allow", "x=*", "-"}, 2, "", "one of [public-load-balancer"},
		"no pattern":      {[]string{"--allow", "data-loss", "-"}, 2, "", "want RULE=PATTERN"},
		"an unknown flag": {[]string{"--strict", "-"}, 2, "", "-strict"},
		"empty input":     {[]string{"-"}, 2, "", "the input is empty"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr strings.Builder
			code := run(c.args, strings.NewReader(""), &stdout, &stderr)
			if code != c.code || !strings.Contains(stdout.String(), c.out) || !strings.Contains(stderr.String(), c.stderr) {
				t.Errorf("exit %d, want %d\n--- output, want %q\n%s\n--- errors, want %q\n%s",
					code, c.code, c.out, stdout.String(), c.stderr, stderr.String())
			}
			if c.stderr == "" && stderr.Len() > 0 {
				t.Errorf("unexpected: %s", stderr.String())
			}
		})
	}
}

func TestRun_WritesTheSameAsJSON(t *testing.T) {
	t.Parallel()
	input, err := os.ReadFile(recording("bad-create"))
	if err != nil {
		t.Fatalf("read recording: %v", err)
	}
	var stdout, stderr strings.Builder
	if code := run([]string{"--json", "--allow=unpinned-image=*", "-"}, strings.NewReader(string(input)), &stdout, &stderr); code != exitViolations {
		t.Errorf("exit %d, want %d: %s", code, exitViolations, stderr.String())
	}
	var got report
	if err := json.Unmarshal([]byte(stdout.String()), &got); err != nil {
		t.Fatalf("the output is not JSON: %v\n%s", err, stdout.String())
	}
	if got.Kind != check.Preview || got.Checked != 14 || len(got.Violations) != 14 || len(got.Allowed) != 5 {
		t.Errorf("got %d violations and %d allowed in %d resources of %s", len(got.Violations), len(got.Allowed), got.Checked, got.Kind)
	}
	if !strings.Contains(stdout.String(), `"notes": []`) {
		t.Error("an empty list is not written as one")
	}
}

func TestUsage_NamesEveryRule(t *testing.T) {
	t.Parallel()
	for _, rule := range check.Rules() {
		if !strings.Contains(usage, "  "+string(rule)+" ") {
			t.Errorf("--help does not explain %s", rule)
		}
	}
}

func TestMatches(t *testing.T) {
	t.Parallel()
	const urn = "urn:pulumi:prod::shop::shop:index:Shop$kubernetes:core/v1:Service::office"
	for pattern, want := range map[string]bool{
		urn: true, "*": true, "*::office": true, "urn:pulumi:prod::*": true, "*Service*": true, "urn:*:prod::*::office": true,
		"office": false, "*Service": false, "urn:pulumi:dev::*": false, "*Pod*": false, "": false, "*office*office": false,
	} {
		if got := matches(pattern, urn); got != want {
			t.Errorf("%q: %v, want %v", pattern, got, want)
		}
	}
}
