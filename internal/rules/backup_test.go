package rules_test

import (
	"testing"

	"ha-iris/internal/rules"
)

func TestWithoutOptions_LeavesTheBackup(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                  "",
		"other":                             "other",
		"s3://b@r/p/?backup=b-1&volume=v-1": "s3://b@r/p/?backup=b-1&volume=v-1",
		"nfs://nas:/b?nfsOptions=soft,ro&volume=v-1&backup=b-1":        "nfs://nas:/b?volume=v-1&backup=b-1",
		"cifs://nas/b?backup=b-1&cifsOptions=backup=x;pw=y&volume=v-1": "cifs://nas/b?backup=b-1&volume=v-1",
	} {
		if got := rules.WithoutOptions(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}
