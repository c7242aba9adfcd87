package images

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// mountStack puts what the stack's pod mounts where it mounts it.
func mountStack(t *testing.T, c *container, merge, script string) {
	t.Helper()
	write(t, c.path("run/ha-iris/settings/merge.cpf"), merge)
	write(t, c.path("run/ha-iris/credentials/credentials.cpf"), "\n[Miscellaneous]\nSynchCommit=1\n")
	write(t, c.path("run/ha-iris/password/password"), "secret")
	write(t, c.path("run/ha-iris/scripts/web-server.sh"), script)
	c.own("run/ha-iris/merge", irisOwner)
}

func probes(main corev1.Container) map[string][]string {
	return map[string][]string{
		"startup": main.StartupProbe.Exec.Command, "readiness": main.ReadinessProbe.Exec.Command, "liveness": main.LivenessProbe.Exec.Command,
	}
}

// TestIRISImage_RunsTheStacksPod runs everything that ha-iris' pod runs in the image.
func TestIRISImage_RunsTheStacksPod(t *testing.T) {
	t.Parallel()
	pod, merge, script := readStack(t)
	main := pod.Containers[0]
	c := newContainer(t, IRIS)
	mountStack(t, c, merge, script)
	if code := c.once(pod.InitContainers[0].Command...); code != 0 {
		t.Fatalf("cpf-merge: exit code %d\n%s", code, &c.out)
	}
	merged, err := os.ReadFile(c.path("run/ha-iris/merge/merge.cpf"))
	if info, statErr := os.Stat(c.path("run/ha-iris/merge/merge.cpf")); err != nil || statErr != nil || info.Mode().Perm() != 0o600 ||
		!strings.Contains(string(merged), "FreezeOnError=1") || !strings.HasSuffix(string(merged), "SynchCommit=1\n") {
		t.Fatalf("merge file: %v, %v\n%s", err, info, merged)
	}
	for _, variable := range main.Env {
		c.env = append(c.env, variable.Name+"="+variable.Value)
	}
	if code := c.once(probes(main)["readiness"]...); code == 0 {
		t.Error("the readiness probe succeeds without an instance")
	}
	c.start(append(c.config.Entrypoint, main.Args...)...)
	c.running()
	for name, command := range probes(main) {
		if out, err := c.exec(command...); err != nil {
			t.Errorf("%s probe: %v %s", name, err, out)
		}
	}
	c.eventually("the web server has the password", func() bool {
		ini, _ := os.ReadFile(c.path("external/iris/csp/bin/CSP.ini"))
		return strings.Contains(string(ini), "Username=CSPSystem\nPassword={cat /run/ha-iris/password/password}\n")
	})
	if out, err := c.exec("/bin/sh", "/run/ha-iris/scripts/web-server.sh"); err != nil || out != "" {
		t.Errorf("web-server.sh again: %v %s", err, out)
	}
	stopsInOrder(t, c)
}

// stopsInOrder ends the container as a kubelet does, and expects the next start to find an orderly stop.
func stopsInOrder(t *testing.T, c *container) {
	t.Helper()
	if err := syscall.Kill(c.pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := c.wait(); code != 0 || !strings.Contains(c.out.String(), "stopping instance IRIS") {
		t.Errorf("exit code %d\n%s", code, &c.out)
	}
	c.start(c.config.Entrypoint...)
	c.running()
	if strings.Contains(c.out.String(), "Previous system shutdown was abnormal") {
		t.Errorf("the stop was not orderly:\n%s", &c.out)
	}
}

// TestIRISImage_ServesArticlesCommandsAndOperators is the image as people use it with kubectl exec.
func TestIRISImage_ServesArticlesCommandsAndOperators(t *testing.T) {
	t.Parallel()
	c := newContainer(t, IRIS)
	c.env = append(c.env, "ISC_DATA_DIRECTORY=/external/iris")
	c.start(c.config.Entrypoint...)
	c.running()
	for command, want := range map[string]string{
		"iris qlist iris | grep running":                        "^running, since",
		"wget -qO- http://127.0.0.1:52773/csp/sys/UtilHome.csp": "<form",
		"id":           "uid=51773(irisowner) gid=51773(irisowner)",
		"pwd; cd; pwd": "/home/irisowner",
		"ps":           "/tini -- /iris-main",
		"printf 'set ^a=1\\nzw ^a\\n' | iris session iris":                                                                                    "^a=1",
		"ls -l /external/iris/mgr | head -3; du -s /external; df /external":                                                                   "/external",
		"cd /tmp && mkdir d && touch d/f && chmod 600 d/f && stat -c %a d/f && rm -r d && date +%Y >/dev/null && echo x | sed s/x/y/ | wc -l": "1",
		"find / -xdev -user root -name iris-main; tail -n 1 /home/irisowner/iris-main.log; env":                                               "ISC_PACKAGE_MGRUSER=irisowner",
	} {
		for _, shell := range []string{"/bin/sh", "/bin/bash"} {
			if out, err := c.exec(shell, "-c", command); err != nil || !strings.Contains(out, want) {
				t.Errorf("%s -c %q: %v\n%s", shell, command, err, out)
			}
		}
	}
	stopsInOrder(t, c)
}

func TestIRISImage_RefusesARootOwnedVolume(t *testing.T) {
	t.Parallel()
	c := newContainer(t, IRIS)
	c.own("external", 0)
	c.env = append(c.env, "ISC_DATA_DIRECTORY=/external/iris")
	if code := c.once(c.config.Entrypoint...); code != 1 || !strings.Contains(c.out.String(), "ERROR #5001: Cannot create target: /external/iris") {
		t.Errorf("exit code %d\n%s", code, &c.out)
	}
}

func TestIRISImage_VersionsAndEditions(t *testing.T) {
	t.Parallel()
	for reference, want := range map[string]string{
		IRIS: "2026.1.0.234.1^", IRISTenSeconds: "2026.1.0.234.1^", IRISNewer: "2026.2.0.221.0^", IRISLicensed: "2026.1.0.234.1^",
	} {
		c := newContainer(t, reference)
		if isQuick := slices.Contains(c.config.Env, "IRIS_STANDIN_RECOVERY=5s"); isQuick != (reference == IRISTenSeconds) {
			t.Errorf("%s: %q", reference, c.config.Env)
		}
		if code := c.once("iris", "qlist", "IRIS"); code != 0 || !strings.Contains(c.out.String(), "IRIS^/usr/irissys^"+want) {
			t.Errorf("%s: exit code %d\n%s", reference, code, &c.out)
		}
		if isLicensed := !strings.Contains(c.out.String(), "^52773^"); isLicensed != (reference == IRISLicensed) {
			t.Errorf("%s: %s", reference, &c.out)
		}
	}
}

// TestArticle_IsTheArticlesSetUpOnTheStandIn guards the fixture for the end-to-end tests.
func TestArticle_IsTheArticlesSetUpOnTheStandIn(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile(filepath.Join(module, "..", "test", "e2e", "testdata", "article", "iris.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var deployment appsv1.Deployment
	for document := range strings.SplitSeq(string(content), "\n---\n") {
		if strings.Contains(document, "kind: Deployment") {
			err = yaml.UnmarshalStrict([]byte(document), &deployment)
		}
	}
	pod := deployment.Spec.Template.Spec
	if err != nil || len(pod.Containers) != 1 {
		t.Fatalf("got %v, %+v", err, pod)
	}
	main := pod.Containers[0]
	if main.Image != IRIS || pod.SecurityContext != nil || main.SecurityContext != nil || len(pod.Tolerations) > 0 ||
		main.ReadinessProbe != nil || main.StartupProbe != nil || main.LivenessProbe == nil || main.LivenessProbe.InitialDelaySeconds != 25 {
		t.Errorf("got %+v", pod)
	}
}
