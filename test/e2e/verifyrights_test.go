//go:build e2e

package e2e_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// checkVerifyRights asks the API server as the runs that verify backups. They may make the pod of their template, and no other.
func checkVerifyRights(t *testing.T, on sandbox) {
	t.Helper()
	// A namespace that is shared need not enforce a standard, which would refuse some of these before the policy is asked.
	const standard = "pod-security.kubernetes.io/enforce="
	on.kubectl(t, "label", "namespace", "iris", "--overwrite", standard+"privileged")
	defer on.kubectl(t, "label", "namespace", "iris", "--overwrite", standard+"restricted")
	for _, test := range []struct {
		name string
		// change makes another pod of the template's.
		change  func(metadata, spec, iris object)
		because string
	}{
		{"as the template has it", func(_, _, _ object) {}, ""},
		{"another name", func(metadata, _, _ object) { metadata["name"] = "other" }, "makes the objects of its copy only"},
		{"no marks", func(metadata, _, _ object) { metadata["labels"] = object{"app": "iris-verify-copy"} }, "makes the objects of its copy only"},
		{"the Service's label", func(metadata, _, _ object) { metadata["labels"].(object)["app"] = "iris" }, "makes the objects of its copy only"},
		{"the node's processes", func(_, spec, _ object) { spec["hostPID"] = true }, runsOnly},
		{"the node's network", func(_, spec, _ object) { spec["hostNetwork"] = true }, runsOnly},
		{"a node of its choice", func(_, spec, _ object) { spec["nodeName"] = "sandbox-1" }, runsOnly},
		{"a request to anywhere", func(_, _, iris object) {
			iris["livenessProbe"] = object{"httpGet": object{"port": 80, "host": "169.254.169.254"}}
		}, runsOnly},
		{"an account", func(_, spec, _ object) { spec["automountServiceAccountToken"] = true }, mountsOnly},
		{"one more container", func(_, spec, iris object) {
			spec["containers"] = append(spec["containers"].([]any), object{
				"name": "more", "image": iris["image"], "command": []any{"sh"}, "securityContext": iris["securityContext"],
			})
		}, runsOnly},
		{"another command", func(_, _, iris object) { iris["command"] = []any{"sh"} }, runsOnly},
		{"more arguments", func(_, _, iris object) { iris["args"] = append(iris["args"].([]any), "--after", "sh") }, runsOnly},
		{"another image", func(_, _, iris object) { iris["image"] = "busybox" }, runsOnly},
		{"privileges", func(_, _, iris object) {
			iris["securityContext"] = object{"privileged": true}
		}, runsOnly},
		{"a capability", func(_, _, iris object) {
			iris["securityContext"].(object)["capabilities"] = object{"add": []any{"SYS_ADMIN"}}
		}, runsOnly},
		{"a port of the node", func(_, _, iris object) { iris["ports"] = []any{object{"containerPort": 1972, "hostPort": 1972}} }, runsOnly},
		{"a hook", func(_, _, iris object) {
			iris["lifecycle"] = object{"postStart": object{"exec": object{"command": []any{"sh"}}}}
		}, runsOnly},
		{"another probe", func(_, _, iris object) {
			iris["livenessProbe"] = object{"exec": object{"command": []any{"sh"}}}
		}, runsOnly},
		{"a Secret in the environment", func(_, _, iris object) {
			iris["envFrom"] = []any{object{"secretRef": object{"name": "iris-credentials"}}}
		}, runsOnly},
		{"a variable that a cluster adds", func(_, _, iris object) {
			iris["env"] = append(iris["env"].([]any), object{"name": "HTTPS_PROXY", "value": "http://proxy.example"})
		}, ""},
		{"another mount", func(_, _, iris object) {
			iris["volumeMounts"] = append(iris["volumeMounts"].([]any), object{"name": "merge", "mountPath": "/usr"})
		}, runsOnly},
		{"the node's files", mounting(object{"name": "merge", "hostPath": object{"path": "/"}}), mountsOnly},
		{"the database's claim", mounting(object{"name": "iris-external-sys", "persistentVolumeClaim": object{"claimName": "iris-pvc"}}), mountsOnly},
		{"another Secret", mounting(object{"name": "credentials", "secret": object{"secretName": "other"}}), mountsOnly},
		{"another ConfigMap", mounting(object{"name": "settings", "configMap": object{"name": "iris-verify"}}), mountsOnly},
		{"another share", mounting(object{"name": "merge", "nfs": object{"server": "nas", "path": "/"}}), mountsOnly},
		{"one more volume", func(_, spec, _ object) {
			spec["volumes"] = append(spec["volumes"].([]any), object{"name": "more", "emptyDir": object{}})
		}, mountsOnly},
	} {
		output, err := on.tryKubectl(t, "--as", "system:serviceaccount:iris:iris-verify", "create", "--dry-run=server", "--validate=false", "-f",
			writeFile(t, "pod.json", on.copysPod(t, test.change)))
		if said := fmt.Sprint(output, err); (err == nil) != (test.because == "") || !strings.Contains(said, test.because) {
			t.Errorf("%s: got %s, want %q", test.name, said, test.because)
		}
	}
}

const (
	runsOnly   = "runs what its copy's template does only"
	mountsOnly = "mounts what its copy's template does only"
)

// mounting puts another volume in the place of the template's of that name.
func mounting(volume object) func(metadata, spec, iris object) {
	return func(_, spec, _ object) {
		volumes, _ := spec["volumes"].([]any)
		for i, one := range volumes {
			if known, _ := one.(object); known["name"] == volume["name"] {
				volumes[i] = volume
			}
		}
	}
}

// copysPod is a pod as agent verify makes it, but for a change.
func (s sandbox) copysPod(t *testing.T, change func(metadata, spec, iris object)) string {
	t.Helper()
	var template struct {
		Template struct{ Spec object }
	}
	text := s.kubectl(t, "-n", "iris", "get", "podtemplate", "iris-verify-copy", "-o", "json")
	if err := json.Unmarshal([]byte(text), &template); err != nil {
		t.Fatalf("read the PodTemplate: %v\n%s", err, text)
	}
	spec := template.Template.Spec
	metadata := object{
		"namespace": "iris", "name": "iris-verify-copy",
		"labels": object{"app": "iris-verify-copy", "ha-iris/verify": "copy", "ha-iris/namespace": "iris"},
	}
	iris, _ := spec["containers"].([]any)[0].(map[string]any)
	change(metadata, spec, iris)
	pod, err := json.Marshal(object{"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
	if err != nil {
		t.Fatalf("write the pod: %v", err)
	}
	return string(pod)
}
