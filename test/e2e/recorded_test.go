//go:build e2e

package e2e_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/auto/events"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optpreview"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
)

var record = flag.String("record", "", "record the stack's state as that of this version, in testdata/states")

// recordedStack is the name under which states are recorded; it is part of every resource's identity.
const recordedStack = "recorded"

// dataBearing are the types whose replacement or deletion loses data, or leads to it.
func dataBearing() []string {
	return []string{
		"kubernetes:core/v1:PersistentVolumeClaim", "kubernetes:core/v1:Namespace", "kubernetes:storage.k8s.io/v1:StorageClass",
		"kubernetes:helm.sh/v3:Release", "pulumi:providers:kubernetes",
	}
}

// TestRecordedStates_AreUpdatedInPlace previews today's program against the states of earlier versions. Renaming or
// moving a resource in code, without an alias, would delete the old one and create a new one: here it fails.
func TestRecordedStates_AreUpdatedInPlace(t *testing.T) {
	onShared(t)
	c := baseConfig(shared)
	current := newStack(t, recordedStack)
	current.configure(c)
	t.Cleanup(func() { checkEmpty(t, shared) })
	current.up() // The provider compares with live objects, so there have to be some.
	defer current.destroyEverything(c)
	giveToEverybody(t)
	if *record != "" {
		recordState(t, current)
	}
	files, err := filepath.Glob(filepath.Join("testdata", "states", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no recorded states (%v); record one: go test -tags e2e ./test/e2e -run RecordedStates -record VERSION", err)
	}
	for _, file := range files {
		state, err := os.ReadFile(file)
		if err != nil {
			t.Fatalf("read %s: %v", file, err)
		}
		t.Run(filepath.Base(file), func(t *testing.T) {
			if losses := planOn(t, c, state); len(losses) > 0 {
				t.Errorf("an update from this version would lose data:\n%s", strings.Join(losses, "\n"))
			}
		})
		t.Run(filepath.Base(file)+", with another class", func(t *testing.T) {
			// Kubernetes changes no parameter of a class; its replacement must take nothing along.
			found := planOn(t, c.set("storage.replicas", 2), state)
			found = slices.DeleteFunc(found, func(loss string) bool { return strings.HasSuffix(loss, "StorageClass::longhorn-iris") })
			if len(found) > 0 {
				t.Errorf("another number of replicas would lose data:\n%s", strings.Join(found, "\n"))
			}
		})
		t.Run(filepath.Base(file)+", with backups", func(t *testing.T) {
			target := object{"target": "nfs://nas.example.com:/backups"}
			if losses := planOn(t, c.set("storage.backup", target), state); len(losses) > 0 {
				t.Errorf("a backup target would lose data:\n%s", strings.Join(losses, "\n"))
			}
		})
		t.Run(filepath.Base(file)+", after a rename", func(t *testing.T) {
			for _, rename := range [][2]string{{"ha-iris:iris:IRIS", "ha-iris:iris:Database"}, {"::iris-pvc", "::data"}} {
				renamed := bytes.ReplaceAll(state, []byte(rename[0]), []byte(rename[1]))
				if bytes.Equal(renamed, state) {
					t.Fatalf("the state does not contain %s", rename[0])
				}
				if losses := planOn(t, c, renamed); len(losses) == 0 {
					t.Errorf("renaming %s would not be noticed", rename[0])
				}
			}
		})
	}
}

// giveToEverybody takes the stack's number off the live objects: the stacks that are previewed on them have numbers of their
// own, and the name that stays on gives the objects to each.
func giveToEverybody(t *testing.T) {
	t.Helper()
	for _, objects := range [][]string{
		{"namespace", "iris", "longhorn-system"},
		{"storageclass", "longhorn-iris"},
		{"priorityclass", "ha-iris-iris"},
		{"-n", "iris", "pvc,configmap,secret,service,deployment,daemonset,networkpolicy", "--all"},
	} {
		shared.kubectl(t, append(append([]string{"annotate"}, objects...), "ha-iris/owner-")...)
	}
}

// planOn previews the program on a recorded state and returns what it would replace or delete of the data-bearing.
func planOn(t *testing.T, c config, state []byte) []string {
	t.Helper()
	s := newStack(t, recordedStack)
	s.configure(c)
	var deployment apitype.UntypedDeployment
	if err := json.Unmarshal(state, &deployment); err != nil {
		t.Fatalf("parse state: %v", err)
	}
	if err := s.Import(t.Context(), deployment); err != nil {
		t.Fatalf("import state: %v", err)
	}
	stream := make(chan events.EngineEvent)
	collected := make(chan []string)
	go func() { collected <- losses(stream) }()
	var log bytes.Buffer
	// Its error is no failure here: what is protected makes the preview fail, and that is a loss averted, not none planned.
	_, err := s.Preview(t.Context(), optpreview.EventStreams(stream), optpreview.ProgressStreams(&log), optpreview.ErrorProgressStreams(&log))
	found := <-collected
	if err != nil && len(found) == 0 {
		t.Fatalf("preview: %v\n%s", err, log.String())
	}
	return found
}

func losses(stream <-chan events.EngineEvent) []string {
	var found []string
	for event := range stream {
		if event.ResourcePreEvent == nil {
			continue
		}
		step := event.ResourcePreEvent.Metadata
		lost := step.Op == apitype.OpDelete || strings.Contains(string(step.Op), "replace")
		if lost && slices.Contains(dataBearing(), step.Type) {
			found = append(found, fmt.Sprintf("%s %s", step.Op, step.URN))
		}
	}
	return found
}

// recordState writes the stack's state with its secrets left encrypted by the tests' passphrase.
func recordState(t *testing.T, s *stack) {
	t.Helper()
	exported, err := s.Export(t.Context())
	if err != nil {
		t.Fatalf("export state: %v", err)
	}
	var deployment map[string]any
	if err := json.Unmarshal(exported.Deployment, &deployment); err != nil {
		t.Fatalf("parse state: %v", err)
	}
	forgetPositions(deployment)
	content, err := json.MarshalIndent(object{"version": exported.Version, "deployment": deployment}, "", "  ")
	if err != nil {
		t.Fatalf("encode state: %v", err)
	}
	// Where the checkout lies is nobody's business and no part of what is compared.
	content = bytes.ReplaceAll(content, []byte(repository), []byte("/checkout"))
	path := filepath.Join("testdata", "states", *record+".json")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatalf("make directory: %v", err)
	}
	if err := os.WriteFile(path, append(content, '\n'), 0o644); err != nil {
		t.Fatalf("write state: %v", err)
	}
}

// forgetPositions removes where in the source, and where on this machine, each resource was registered.
func forgetPositions(value any) {
	switch typed := value.(type) {
	case map[string]any:
		delete(typed, "sourcePosition")
		delete(typed, "stackTrace")
		for _, element := range typed {
			forgetPositions(element)
		}
	case []any:
		for _, element := range typed {
			forgetPositions(element)
		}
	}
}
