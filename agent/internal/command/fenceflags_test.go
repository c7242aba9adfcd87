package command

import (
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"ha-iris/agent/internal/fence"
)

func fenceParsed(t *testing.T, arguments ...string) *fenceOptions {
	t.Helper()
	options, flags := fenceDefaults(), pflag.NewFlagSet("fence", pflag.ContinueOnError)
	options.bind(flags)
	if err := flags.Parse(arguments); err != nil {
		t.Fatal(err)
	}
	return options
}

var fenceRequired = []string{
	"--namespace", "iris", "--pod", "iris-0", "--uid", "u", "--node", "n1", "--api-server", "https://10.0.0.1:443",
}

func TestFenceFlags_Defaults(t *testing.T) {
	t.Parallel()
	options := fenceParsed(t, fenceRequired...)
	if err := options.validate(); err != nil {
		t.Fatal(err)
	}
	if options.parameters != fence.Default() {
		t.Errorf("got %+v", options.parameters)
	}
	if options.directory != "/run/ha-iris/fence" || options.listen != ":8091" ||
		options.tokenFile != "/var/run/secrets/kubernetes.io/serviceaccount/token" {
		t.Errorf("got %+v", options)
	}
}

func TestFenceFlags_AllTimesAreTaken(t *testing.T) {
	t.Parallel()
	options := fenceParsed(t, append(fenceRequired, "--interval", "1ms", "--timeout", "2ms", "--pause-after", "4ms",
		"--end-after", "8ms",
		"--margin", "16ms", "--stall", "32ms", "--earliest-take-over", "64ms", "--without-peers", "fence")...)
	if err := options.validate(); err != nil {
		t.Error(err)
	}
	want := fence.Parameters{
		Interval: time.Millisecond, Timeout: 2 * time.Millisecond, PauseAfter: 4 * time.Millisecond, EndAfter: 8 * time.Millisecond,
		Margin: 16 * time.Millisecond, Stall: 32 * time.Millisecond, EarliestTakeOver: 64 * time.Millisecond,
		WithoutPeers: fence.WithoutPeersFence,
	}
	if options.parameters != want {
		t.Errorf("got %+v, want %+v", options.parameters, want)
	}
}

func TestFenceFlags_ReportAllProblemsAtOnce(t *testing.T) {
	t.Parallel()
	err := fenceParsed(t, "--dir", "", "--listen", "8091", "--token-file", "", "--ca-file", "", "--api-server", "", "--stall", "5s",
		"--end-after", "40s", "--without-peers", "perhaps").validate()
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		"--namespace", "--pod", "--uid", "--node", "--dir", "--api-server", "--token-file", "--ca-file", `--listen: got "8091"`,
		"the pause", "the end", `"perhaps"`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s is missing in:\n%v", want, err)
		}
	}
}

func TestInCluster(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ host, port, want string }{
		{"10.0.0.1", "443", "https://10.0.0.1:443"}, {"fd00::1", "443", "https://[fd00::1]:443"}, {"", "443", ""}, {"10.0.0.1", "", ""},
	} {
		if got := inCluster(test.host, test.port); got != test.want {
			t.Errorf("%q %q: got %q, want %q", test.host, test.port, got, test.want)
		}
	}
}

func TestAdmit_RefusesNoTime(t *testing.T) {
	t.Parallel()
	command := Admit()
	command.SetArgs([]string{"--wait", "0s"})
	command.SilenceUsage, command.SilenceErrors = true, true
	if err := command.Execute(); err == nil || !strings.Contains(err.Error(), "--wait") {
		t.Errorf("got %v", err)
	}
}
