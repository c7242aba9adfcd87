//go:build e2e

package e2e_test

import (
	"os/exec"
	"strings"
	"testing"
)

// What the program's own tests cannot see: the messages as the CLI shows them, its exit code, and that nothing exists.
func TestBadInput_IsRefusedBeforeAnythingIsCreated(t *testing.T) {
	onShared(t)
	base := baseConfig(shared)
	cases := map[string]struct {
		config config
		set    func(s *stack)
		want   []string
	}{
		"several mistakes at once": {
			config: base.set("iris.size", "20").set("storage.replicas", 5).set("cluster.nodse", 3).
				set("iris.image", "intersystems/iris-community:latest").set("iris.service.sourceRanges", []any{"10.0.0.0/33"}),
			want: []string{
				"the configuration has 5 problems; nothing was changed", `iris.size: got "20"`, "storage.replicas: got 5",
				"cluster.nodse: got a key that does not exist, want nodes", "iris.image: got",
				`iris.service.sourceRanges[0]: got "10.0.0.0/33"`,
			},
		},
		"wrong type": {config: base.set("storage.replicas", "three"), want: []string{`storage.replicas: got "three", want a whole number`}},
		"unreachable cluster": {
			config: base.set("cluster.kubeconfigPath", unreachable(t)).set("cluster.context", "gone"),
			want:   []string{`context "gone"`, "cannot be reached", "check that the cluster runs"},
		},
		"unknown top-level key": {
			config: base,
			set:    func(s *stack) { s.setPlain("dataDiskGiB", "3") },
			want:   []string{"dataDiskGiB: got a key that does not exist, want cluster.dataDiskGiB, perhaps"},
		},
		"password missing": {
			config: base,
			set:    func(s *stack) { s.remove("irisPassword") },
			want:   []string{"irisPassword: got nothing", "pulumi config set --secret irisPassword"},
		},
		"password in clear": {
			config: base,
			set:    func(s *stack) { s.remove("irisPassword"); s.setPlain("irisPassword", password) },
			want:   []string{"irisPassword: got a value in clear text"},
		},
		"default password": {
			config: base,
			set:    func(s *stack) { s.setSecret("irisPassword", "SYS") },
			want:   []string{"irisPassword: got the default password"},
		},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			s := newStack(t, "input")
			s.configure(test.config)
			if test.set != nil {
				test.set(s)
			}
			checkRefused(t, s, test.want)
			for _, resource := range s.state() {
				if !strings.HasPrefix(string(resource.Type), "pulumi:pulumi:") {
					t.Errorf("%s was created", resource.URN)
				}
			}
		})
	}
}

func checkRefused(t *testing.T, s *stack, words []string) {
	t.Helper()
	for _, operation := range []string{"preview", "up --yes --skip-preview"} {
		output, err := s.cli(strings.Fields(operation)...)
		if err == nil {
			t.Fatalf("%s accepted it", operation)
		}
		for _, word := range words {
			if !strings.Contains(output, word) {
				t.Errorf("the output of %s lacks %q:\n%s", operation, word, output)
			}
		}
	}
}

// unreachable writes a kubeconfig that leads to a port where nobody listens.
func unreachable(t *testing.T) string {
	t.Helper()
	return writeFile(t, "kubeconfig", `apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1", insecure-skip-tls-verify: true}}]
users: [{name: u, user: {}}]
contexts: [{name: gone, context: {cluster: c, user: u}}]
`)
}

// A secret among Longhorn's values is nowhere in clear: not in the state, whatever the provider answers, and not in what
// the commands print.
func TestSecretOfTheChart_IsNowhereInClear(t *testing.T) {
	onShared(t)
	const registryPassword = "c0rrect-horse-e2e"
	s := newStack(t, "chart-secret")
	base := baseConfig(shared).set("iris.service", object{"type": "ClusterIP"})
	s.configure(base)
	t.Cleanup(func() { checkEmpty(t, shared) })
	defer s.destroyEverything(base) // Not in a clean-up: the commands' context is over by then.
	hide := func(operation string, args ...string) {
		t.Helper()
		output, err := s.cli(args...)
		if err != nil {
			t.Fatalf("%s: %v", operation, err)
		}
		if strings.Contains(output, registryPassword) {
			t.Errorf("%s shows the secret", operation)
		}
	}
	set := []string{"config", "set", "--path", "--secret", "storage.values.privateRegistry.registryPasswd", registryPassword}
	hide("config set", set...)
	hide("preview", "preview", "--diff")
	hide("up", "up", "--yes", "--skip-preview")
	hide("up again", "up", "--yes", "--diff")
	hide("export", "stack", "export") // All of the state, as it is stored.
	if output, err := s.runCLI((*exec.Cmd).Output, "stack", "export", "--show-secrets"); err != nil || !strings.Contains(output, registryPassword) {
		t.Errorf("the secret is not in the state at all, so that nothing was proven: %v", err)
	}
	if plan, err := s.plan(); err != nil || strings.Contains(plan, registryPassword) {
		t.Errorf("the plan shows the secret, or fails: %v", err)
	}
	for _, key := range []string{"iris.namespace", "cluster.name", "storage.className"} {
		s.configure(base)
		hide("config set", "config", "set", "--path", "--secret", key, registryPassword)
		output, err := s.cli("preview")
		if err == nil || strings.Contains(output, registryPassword) || !strings.Contains(output, "nothing was changed") {
			t.Errorf("%s: %v\n%s", key, err, output)
		}
	}
}
