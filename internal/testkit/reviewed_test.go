package testkit_test

import (
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ha-iris/internal/testkit"
)

type object struct{ pulumi.CustomResourceState }

// golden registers one resource and shows it.
func golden(t *testing.T, inputs pulumi.Map, options ...pulumi.ResourceOption) (string, *testkit.Recorder) {
	t.Helper()
	recorder := &testkit.Recorder{}
	err := recorder.Run(func(ctx *pulumi.Context) error {
		return ctx.RegisterResource("pkg:module:Type", "name", inputs, &object{}, options...)
	}, testkit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return recorder.Golden(), recorder
}

func TestGolden_ShowsInputsAndOptions(t *testing.T) {
	t.Parallel()
	got, _ := golden(t, pulumi.Map{
		"number": pulumi.Int(3), "text": pulumi.String("3"), "nested": pulumi.Map{"list": pulumi.StringArray{pulumi.String("a")}},
	}, pulumi.Protect(true), pulumi.RetainOnDelete(true), pulumi.IgnoreChanges([]string{"b", "a"}), pulumi.DeleteBeforeReplace(true),
		pulumi.ReplaceOnChanges([]string{"c"}), pulumi.AdditionalSecretOutputs([]string{"d"}),
		pulumi.Timeouts(&pulumi.CustomTimeouts{Create: "1m"}), pulumi.Aliases([]pulumi.Alias{{Name: pulumi.String("before")}}))
	want := `pkg:module:Type name:
  inputs:
    nested:
      list:
      - a
    number: 3
    text: "3"
  options:
    additionalSecretOutputs:
    - d
    aliases:
    - before
    customTimeouts:
      create: 1m
    deleteBeforeReplace: true
    ignoreChanges:
    - a
    - b
    protect: true
    replaceOnChanges:
    - c
    retainOnDelete: true
  parent: the stack
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestGolden_ShowsNoSecret(t *testing.T) {
	t.Parallel()
	got, _ := golden(t, pulumi.Map{
		"text":   pulumi.ToSecret(pulumi.String("s3cr3t")),
		"object": pulumi.ToSecret(pulumi.StringMap{"password": pulumi.String("s3cr3t"), "account": pulumi.String("s3cr3t")}),
		"list":   pulumi.Array{pulumi.ToSecret(pulumi.StringArray{pulumi.String("s3cr3t")})},
	})
	if strings.Contains(got, "s3cr3t") || strings.Count(got, "[secret]") != 3 || !strings.Contains(got, "[secret] with account, password") {
		t.Errorf("got\n%s", got)
	}
}

func TestGolden_ShowsOfALongTextWhetherItChanged(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, end := range []string{"a", "b"} {
		got, _ := golden(t, pulumi.Map{"script": pulumi.String("#!/bin/sh\n" + strings.Repeat("true\n", 50) + end)})
		if !strings.Contains(got, "[51 lines, sha256 ") || !strings.Contains(got, "#!/bin/sh") || strings.Contains(got, "true") || seen[got] {
			t.Errorf("got\n%s", got)
		}
		seen[got] = true
	}
}

func TestGoldenBeside_ShowsOnlyWhatDiffers(t *testing.T) {
	t.Parallel()
	_, before := golden(t, pulumi.Map{"a": pulumi.String("before")})
	_, same := golden(t, pulumi.Map{"a": pulumi.String("before")})
	changed, after := golden(t, pulumi.Map{"a": pulumi.String("after")})
	if got := same.GoldenBeside(before); got != "" {
		t.Errorf("nothing differs, and got\n%s", got)
	}
	if got := after.GoldenBeside(before); got != changed {
		t.Errorf("got\n%s", got)
	}
	if got := (&testkit.Recorder{}).GoldenBeside(before); got != "pkg:module:Type name: gone\n" {
		t.Errorf("got\n%s", got)
	}
}
