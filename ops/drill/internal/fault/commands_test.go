package fault

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSandbox_FillsAllCommands(t *testing.T) {
	t.Parallel()
	commands := Commands{CutNode: "mine {node}"}.Or(Sandbox(".local/bin/sandbox", "lab"))
	want := Commands{
		StopNode: ".local/bin/sandbox node kill {node} --name lab", StartNode: ".local/bin/sandbox node start {node} --name lab",
		CutNode: "mine {node}", JoinNode: ".local/bin/sandbox node join {node} --name lab",
		StopKubelet: ".local/bin/sandbox node kubelet-stop {node} --name lab", StartKubelet: ".local/bin/sandbox node start {node} --name lab",
	}
	if commands != want {
		t.Errorf("got %+v, want %+v", commands, want)
	}
}

func TestRun_NamesTheNodeInTheCommand(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "said")
	if err := run(t.Context(), "echo {node} {node} > "+file, "node-a.example"); err != nil {
		t.Fatal(err)
	}
	if said, err := os.ReadFile(file); err != nil || string(said) != "node-a.example node-a.example\n" {
		t.Errorf("it said %q, %v", said, err)
	}
	if err := run(t.Context(), "echo no quota >&2; false", "node-a"); err == nil || !strings.Contains(err.Error(), "no quota") {
		t.Errorf("a command that fails: %v", err)
	}
	if err := run(t.Context(), "echo {node}", "a; true"); err == nil {
		t.Error("a name that a shell would run was accepted")
	}
}

func TestMachine_AsksWhereThereIsNoCommand(t *testing.T) {
	t.Parallel()
	if err := (&Maker{}).Make(t.Context(), LoseNode, Victim{Node: "node-a"}); err == nil {
		t.Error("nothing was done and nobody asked")
	}
	for _, kind := range Kinds() {
		about := (&Maker{}).about(kind)
		if kind.NodeLost() != (about.says != "" && about.saysUndo != "") {
			t.Errorf("%s: an operator is told %q and %q", kind, about.says, about.saysUndo)
		}
	}
}
