package recipes_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// workflowFiles are the workflows and the actions of this repository, by their path below its top.
func workflowFiles(t *testing.T) []string {
	t.Helper()
	var found []string
	for _, pattern := range []string{"workflows/*.yaml", "actions/*/action.yaml"} {
		files, err := filepath.Glob(filepath.Join(root(t), ".github", pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("no files %s (%v)", pattern, err)
		}
		found = append(found, files...)
	}
	return found
}

// A tag can be moved to other code by whoever owns, or has stolen, the action's repository; a commit cannot.
func TestWorkflows_UseActionsByCommit(t *testing.T) {
	t.Parallel()
	uses := regexp.MustCompile(`(?m)^\s*(?:- )?uses:\s*(.+)$`)
	pinned := regexp.MustCompile(`^[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$`)
	local := regexp.MustCompile(`^\./\.github/actions/\w+$`)
	commits, seen := map[string]string{}, 0
	for _, file := range workflowFiles(t) {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatalf("read workflow: %v", err)
		}
		for _, match := range uses.FindAllStringSubmatch(string(content), -1) {
			seen++
			action := match[1]
			if !pinned.MatchString(action) && !local.MatchString(action) {
				t.Errorf("%s: %s, want OWNER/NAME@COMMIT # vX.Y.Z", filepath.Base(file), action)
			}
			name, commit, _ := strings.Cut(action, "@")
			if earlier := commits[name]; earlier != "" && earlier != commit {
				t.Errorf("%s: %s at %s, elsewhere at %s", filepath.Base(file), name, commit, earlier)
			}
			commits[name] = commit
		}
	}
	if seen < 10 {
		t.Errorf("only %d uses of actions found; the check proves nothing", seen)
	}
}

// workflow is what the checks need of one.
type workflow struct {
	On          map[string]any `json:"on"`
	Permissions map[string]any `json:"permissions"`
	Jobs        map[string]struct {
		If          string            `json:"if"`
		Permissions map[string]string `json:"permissions"`
		Timeout     int               `json:"timeout-minutes"`
		Environment any               `json:"environment"`
		Steps       []struct {
			Run string `json:"run"`
		} `json:"steps"`
	} `json:"jobs"`
}

func parseWorkflow(t *testing.T, name string) workflow {
	t.Helper()
	// Unquoted, YAML 1.1 takes the key "on" for a truth value.
	content := strings.Replace(readFile(t, ".github", "workflows", name), "\non:", "\n\"on\":", 1)
	var w workflow
	if err := yaml.Unmarshal([]byte(content), &w); err != nil {
		t.Fatalf("parse %s: %v", name, err)
	}
	return w
}

func TestWorkflows_TakeNoMoreThanTheyNeed(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(root(t), ".github", "workflows", "*.yaml"))
	if err != nil || len(files) != 5 {
		t.Fatalf("workflows %v (%v), want 5", files, err)
	}
	for _, file := range files {
		name := filepath.Base(file)
		w := parseWorkflow(t, name)
		if w.Permissions == nil || len(w.Permissions) > 0 {
			t.Errorf("%s: permissions %v at the top, want {}", name, w.Permissions)
		}
		if _, risky := w.On["pull_request_target"]; risky || len(w.On) == 0 {
			t.Errorf("%s: started by %v; pull_request_target runs a fork's code with this repository's secrets", name, w.On)
		}
		for id, job := range w.Jobs {
			if job.Permissions == nil || job.Timeout == 0 {
				t.Errorf("%s: job %s lacks permissions or timeout-minutes", name, id)
			}
			if job.Permissions["id-token"] == "write" && job.Environment == nil {
				t.Errorf("%s: job %s can log in to a cloud outside an environment", name, id)
			}
			for _, step := range job.Steps {
				// What comes from outside must reach a script as a variable, never as text of the script.
				if strings.Contains(step.Run, "${{") {
					t.Errorf("%s: job %s puts an expression into a script: %s", name, id, step.Run)
				}
			}
		}
	}
}

// Whoever adds a cloud has to add it here too.
func TestWorkflows_KnowEveryCloud(t *testing.T) {
	t.Parallel()
	var clouds []string
	files, err := filepath.Glob(filepath.Join(root(t), "cluster", "*.go")) // Sorted, as the workflows list them.
	if err != nil {
		t.Fatalf("list the files of clouds: %v", err)
	}
	for _, file := range files {
		match := regexp.MustCompile(`(?m)^const \w+ Cloud = "(\w+)"$`).FindStringSubmatch(readFile(t, "cluster", filepath.Base(file)))
		if match != nil && match[1] != "existing" {
			clouds = append(clouds, match[1])
		}
	}
	if len(clouds) < 3 {
		t.Fatalf("found only the clouds %v", clouds)
	}
	for _, workflow := range []string{"preview.yaml", "drift.yaml", "up.yaml"} {
		list := `vars.ENVIRONMENTS || '["` + strings.Join(clouds, `", "`) + `"]'`
		if !strings.Contains(readFile(t, ".github", "workflows", workflow), list) {
			t.Errorf("%s: want %s", workflow, list)
		}
	}
	if options := "options: [" + strings.Join(clouds, ", ") + "]"; !strings.Contains(readFile(t, ".github", "workflows", "up.yaml"), options) {
		t.Errorf("up.yaml: want %s", options)
	}
	setup := readFile(t, ".github", "actions", "setup", "action.yaml")
	for _, cloud := range clouds {
		if !strings.Contains(setup, "- if: inputs.cloud == '"+cloud+"'\n") {
			t.Errorf("action.yaml: no login for %s", cloud)
		}
	}
}

func TestWorkflows_RunNothingOfAForkWithAccess(t *testing.T) {
	t.Parallel()
	w := parseWorkflow(t, "preview.yaml")
	const same, other = "head.repo.full_name == github.repository", "head.repo.full_name != github.repository"
	if condition := w.Jobs["preview"].If; !strings.Contains(condition, same) {
		t.Errorf("preview runs if %q", condition)
	}
	fork := w.Jobs["fork"]
	if !strings.Contains(fork.If, other) || len(fork.Permissions) > 0 || !strings.Contains(fork.Steps[0].Run, "::notice") {
		t.Errorf("forks are not told that nothing was previewed: %+v", fork)
	}
}

// The Kubernetes provider leaves a kubeconfig in TMPDIR: everything that runs pulumi comes after the step that sets it.
func TestWorkflows_KeepTemporaryFilesWhereTheRunnerRemovesThem(t *testing.T) {
	t.Parallel()
	const set = `echo "TMPDIR=$RUNNER_TEMP" >> "$GITHUB_ENV"`
	setup := readFile(t, ".github", "actions", "setup", "action.yaml")
	at, pulumi := strings.Index(setup, set), regexp.MustCompile(`(?m)^\s+(run: )?pulumi |uses: pulumi/`)
	if found := pulumi.FindStringIndex(setup); at < 0 || found != nil && found[0] < at {
		t.Errorf("action.yaml does not say %q before it runs pulumi", set)
	}
	checked := 0
	for _, file := range workflowFiles(t) {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatalf("read workflow: %v", err)
		}
		found := pulumi.FindIndex(content)
		if found == nil {
			continue
		}
		checked++
		if before := string(content[:found[0]]); !strings.Contains(before, "uses: ./.github/actions/setup") {
			t.Errorf("%s runs pulumi without the setup before it", filepath.Base(file))
		}
	}
	if checked < 3 {
		t.Errorf("only %d workflows run pulumi; the check proves little", checked)
	}
}
