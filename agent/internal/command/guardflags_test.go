package command

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"ha-iris/agent/internal/guard"
)

// parsed are the options that a command line gives.
func parsed(t *testing.T, arguments ...string) *guardOptions {
	t.Helper()
	options, flags := guardDefaults(), pflag.NewFlagSet("guard", pflag.ContinueOnError)
	options.bind(flags)
	if err := flags.Parse(arguments); err != nil {
		t.Fatal(err)
	}
	return options
}

var required = []string{"--namespace", "iris", "--claim", "data", "--node", "n1", "--pod", "guard-1"}

func TestGuardFlags_Defaults(t *testing.T) {
	t.Parallel()
	options := parsed(t, required...)
	if err := options.validate(); err != nil {
		t.Fatal(err)
	}
	config, err := options.config()
	if err != nil || config.Mode != guard.ModeGuard || !config.Longhorn || !slices.Equal(config.Proofs, guard.Default().Proofs) ||
		config.Isolation != 28*time.Second {
		t.Errorf("got %+v, %v", config, err)
	}
	if options.lease != "ha-iris-guard" || options.listen != ":8090" || options.longhornNamespace != "longhorn-system" {
		t.Errorf("got %+v", options)
	}
}

func TestGuardFlags_ReportAllProblemsAtOnce(t *testing.T) {
	t.Parallel()
	err := parsed(t, "--mode", "dare", "--proofs", "deleted,hearsay", "--isolation", "soon", "--listen", "8090", "--lease", "").validate()
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		"--namespace", "--claim", "--node", "--pod", "--lease", `--listen: got "8090"`, `--isolation: got "soon"`, `"dare"`, `"hearsay"`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s is missing in:\n%v", want, err)
		}
	}
}

// Where only the kubelet has died nobody ends the database on other storage: there the isolation check proves nothing.
func TestGuardFlags_IsolationIsNoProofOnOtherStorage(t *testing.T) {
	t.Parallel()
	other := append(slices.Clone(required), "--longhorn-namespace", "")
	if got := parsed(t, other...).listed(); !slices.Equal(got, []guard.Proof{guard.ProofDeleted, guard.ProofShutdown}) {
		t.Errorf("default proofs: got %q", got)
	}
	asked := append(slices.Clone(other), "--proofs", "isolation")
	if err := parsed(t, asked...).validate(); err == nil || !strings.Contains(err.Error(), "isolation") {
		t.Errorf("got %v, want a refusal", err)
	}
	if err := parsed(t, append(asked, "--fenced-storage")...).validate(); err != nil {
		t.Errorf("fenced: got %v", err)
	}
}
