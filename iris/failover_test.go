package iris

import (
	"slices"
	"strings"
	"testing"
)

func TestFailover_ModeAutoNeedsAnImage(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		failover Failover
		want     FailoverMode
		remark   bool
	}{
		"nothing set":            {defaultFailover(), FailoverLonghorn, true},
		"an image":               {Failover{Mode: FailoverAuto, Image: agentImage}, FailoverGuard, false},
		"an image that observes": {Failover{Mode: FailoverObserve, Image: agentImage}, FailoverObserve, false},
		"an image not wanted":    {Failover{Mode: FailoverLonghorn, Image: agentImage}, FailoverLonghorn, false},
		"longhorn asked for":     {Failover{Mode: FailoverLonghorn}, FailoverLonghorn, false},
	} {
		if got := test.failover.mode(); got != test.want {
			t.Errorf("%s: got %s, want %s", name, got, test.want)
		}
		for namespace, want := range map[string]string{"longhorn-system": "117 to 227 s", "": "until somebody deletes it by force"} {
			got := Config{Failover: test.failover, LonghornNamespace: namespace}.failoverRemark()
			if (got != "") != test.remark || !test.remark == strings.Contains(got, want) {
				t.Errorf("%s, Longhorn in %q: got the remark %q, want one %t, with %q", name, namespace, got, test.remark, want)
			}
		}
	}
}

// Which proofs count is the guard's own decision, from the storage; the program says which that is, and what was chosen.
func TestFailover_TellsTheGuardOfTheStorage(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*Config)
		want   []string
	}{
		"Longhorn of the stack": {guardedBy(agentImage), []string{"--longhorn-namespace=longhorn-system", "--fenced-storage=false"}},
		"other storage": {
			func(c *Config) { c.Failover.Image = agentImage }, []string{"--longhorn-namespace=", "--fenced-storage=false"},
		},
		"other storage that is said to be fenced": {func(c *Config) {
			c.Failover.Image, c.Failover.FencedStorage = agentImage, true
		}, []string{"--longhorn-namespace=", "--fenced-storage=true"}},
		"proofs chosen": {func(c *Config) {
			guardedBy(agentImage)(c)
			c.Failover.Proof = []FailoverProof{ProofDeleted, ProofShutdown}
		}, []string{"deleted,shutdown"}},
	} {
		cfg := community(test.change)
		if err := cfg.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		arguments := argumentsOf(t, cfg, guardName, "guard")
		for _, want := range test.want {
			if !slices.Contains(arguments, want) {
				t.Errorf("%s: the guard is called with %q, want %s", name, arguments, want)
			}
		}
		if chosen := len(cfg.Failover.Proof) > 0; slices.Contains(arguments, "--proofs") != chosen {
			t.Errorf("%s: the guard is called with %q", name, arguments)
		}
	}
}

func TestValidate_RefusesFailover(t *testing.T) {
	t.Parallel()
	mistakes{
		`failover.mode: got "fast", want one of auto, guard, observe, longhorn`: func(c *Config) { c.Failover.Mode = "fast" },
		`failover.image: got nothing, want the agent's image at a digest, which failover.mode guard needs`: func(c *Config) {
			c.Failover.Mode = FailoverGuard
		},
		`failover.image: got "agent:latest", want an image at a digest`: func(c *Config) { c.Failover.Image = "agent:latest" },
		`failover.proof[0]: got "hope", want one of deleted, shutdown`:  func(c *Config) { c.Failover.Proof = []FailoverProof{"hope"} },
		`failover.proof[1]: got "deleted", want each proof once`: func(c *Config) {
			c.Failover.Proof = []FailoverProof{ProofDeleted, ProofDeleted}
		},
		`failover.proof: got "isolation", want none of it, or failover.fencedStorage true`: func(c *Config) {
			c.Failover.Proof = []FailoverProof{ProofIsolation}
		},
	}.areRefused(t)
}

// Without the guard nothing of it is in the cluster, and the pod is what it was before there was one.
func TestFailover_LonghornAddsNothing(t *testing.T) {
	t.Parallel()
	for _, object := range manifests(t, mustRun(t, community())) {
		if text := toYAML(t, []manifest{object}); strings.Contains(text, "guard.ha-iris") || strings.Contains(text, guardName) ||
			strings.Contains(text, fenceDir) || strings.Contains(text, "shareProcessNamespace") {
			t.Errorf("%s %s has something of the guard", object.kind, object.name)
		}
	}
}

// Only a guard that acts frees the database of a lost node without waiting the grace period out.
func TestFailover_StopsTakeTheTimeTheyNeedWhereAGuardActs(t *testing.T) {
	t.Parallel()
	for mode, want := range map[FailoverMode]int{
		FailoverAuto: guardedGrace, FailoverGuard: guardedGrace, FailoverObserve: unguardedGrace, FailoverLonghorn: unguardedGrace,
	} {
		cfg := community(func(c *Config) { c.Failover = Failover{Mode: mode, Image: agentImage} })
		if got := cfg.stopGrace(); got != want {
			t.Errorf("%s: got %d s, want %d", mode, got, want)
		}
		cfg.TerminationGracePeriodSeconds = minGrace
		if got := cfg.stopGrace(); got != minGrace {
			t.Errorf("%s: got %d s, want what was asked for", mode, got)
		}
	}
}
