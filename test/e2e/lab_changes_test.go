//go:build e2e && lab

package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// rotated is the second password of a stack on the lab.
const rotated = password + "-rotated"

// speaks runs what the article runs to see that data survives.
func (l *lab) speaks() {
	l.t.Helper()
	output, err := l.exec(`printf 'set ^k8stest(1)="hello"\nzw ^k8stest\nhalt\n' | iris session iris`)
	if err != nil || !strings.Contains(output, `^k8stest(1)="hello"`) {
		l.t.Errorf("the article's commands gave %q, %v", output, err)
	}
}

// serves runs examples/consumer beside the database, and reads a row from its pod.
func (l *lab) serves() {
	l.t.Helper()
	l.cfg = l.cfg.set("iris.service.clientNamespaces", []any{"iris-consumer"})
	l.configure(l.cfg)
	l.up()
	s := newStackOf(l.t, project{
		file: filepath.Join(repository, "examples", "consumer", "Pulumi.yaml"), program: consumer,
		state: strings.TrimPrefix(l.Workspace().GetEnvVars()["PULUMI_BACKEND_URL"], "file://"),
	}, "consumer")
	s.setPlain("irisStack", "organization/ha-iris/"+l.Name())
	s.setPlain("image", "ha-iris.local/busybox:1.37.0")
	s.up()
	// Its readiness probe connects to the superserver's port.
	l.on.kubectl(l.t, "-n", "iris-consumer", "rollout", "status", "deployment/iris-watch", "--timeout=60s")
	const request = `printf 'GET /iris-standin/node?ref=%%5Erows(1) HTTP/1.0\r\n\r\n' | /usr/bin/nc -w 5 "$IRIS_HOST" 52773`
	row, err := l.on.tryKubectl(l.t, "-n", "iris-consumer", "exec", "deploy/iris-watch", "--", "/bin/sh", "-c", request)
	if err != nil || !strings.Contains(row, "row=1") {
		l.t.Errorf("the consumer read %q, %v", row, err)
	}
	if err := s.tryDestroy(); err != nil {
		l.t.Errorf("destroy: %v", err)
	}
}

func (l *lab) rotates() {
	l.t.Helper()
	l.configure(l.cfg)
	l.setSecret("irisPassword", rotated)
	l.up()
	l.opens(rotated)
	l.configure(l.cfg)
	l.up()
	l.opens(password)
}

// changesSettings wants a new value where IRIS has its settings, and a new pod, as this one counts only after a restart.
func (l *lab) changesSettings() {
	l.t.Helper()
	before := podName(l.t, l.on)
	l.cfg = l.cfg.set("iris.globalsMiB", 300)
	l.configure(l.cfg)
	l.up()
	if podName(l.t, l.on) == before {
		l.t.Error("the pod is the old one")
	}
	settings, err := l.exec("cat /external/iris/iris.cpf")
	if err != nil || !strings.Contains(settings, "globals=0,0,300,0,0,0") {
		l.t.Errorf("iris.cpf is %q, %v", settings, err)
	}
}

// impatient makes the stack run a build that waits for the pod no longer than it has to.
func (l *lab) impatient() config {
	l.t.Helper()
	l.setBinary(buildWith(l.t, edit{"iris/workload.go", "awaitMargin = 600", "awaitMargin = 10"}))
	return l.cfg.set("iris.recoveryBudgetSeconds", 120)
}

// failsWith wants an up that fails and says why.
func (l *lab) failsWith(c config, words ...string) {
	l.t.Helper()
	l.configure(c)
	output, err := l.cli("up", "--yes", "--skip-preview")
	if err == nil {
		l.t.Error("the up went through")
	}
	for _, word := range words {
		if !strings.Contains(output, word) {
			l.t.Errorf("the message lacks %q", word)
		}
	}
}

// refusesSettings gives IRIS what this program cannot know to be wrong.
func (l *lab) refusesSettings() {
	l.t.Helper()
	c := l.impatient()
	l.failsWith(c.set("iris.cpf", object{"config": object{"locksiz": "12"}}), "locksiz", "is not between")
	l.comesBack()
}

// refusesFiles takes the database's directory from its user, as a restore by somebody else does.
func (l *lab) refusesFiles() {
	l.t.Helper()
	c := l.impatient()
	node := l.node()
	l.own(node, 0)
	l.failsWith(c.set("iris.globalsMiB", 350), "Cannot create target: /external/iris")
	l.own(l.attachedTo(), 51773)
	l.comesBack()
}

// attachedTo is the node that has the volume.
func (l *lab) attachedTo() string {
	l.t.Helper()
	return l.on.kubectl(l.t, "-n", "longhorn-system", "get", "volumes.longhorn.io", "-o", "jsonpath={.items[0].status.currentNodeID}")
}

// own gives the database's directory to a user, from the node's side.
func (l *lab) own(node string, user int) {
	l.t.Helper()
	kubelet := filepath.Join("var", "lib", "kubelet")
	wanted, err := os.Stat(filepath.Join(repository, ".local", "sandbox", l.on.Name, "nodes", node, "disk", kubelet))
	if err != nil {
		l.t.Fatal(err)
	}
	processes, err := filepath.Glob("/proc/[0-9]*/root")
	if err != nil {
		l.t.Fatal(err)
	}
	for _, root := range processes { // The node's own are those that have its disk there; the machine's see no mount of a volume.
		found, err := os.Stat(filepath.Join(root, kubelet))
		if err != nil || !os.SameFile(found, wanted) {
			continue
		}
		mounts, err := filepath.Glob(filepath.Join(root, kubelet, "pods", "*", "volumes", "kubernetes.io~csi", "*", "mount", "iris"))
		if err != nil || len(mounts) == 0 {
			continue
		}
		if err := os.Chown(mounts[0], user, user); err != nil {
			l.t.Fatal(err)
		}
		return
	}
	l.t.Fatalf("node %s has no such directory", node)
}

// comesBack is an up with the settings that work.
func (l *lab) comesBack() {
	l.t.Helper()
	l.setBinary(program)
	l.configure(l.cfg)
	l.up()
	l.opens(password)
	if there, err := l.has(1); err != nil || !there {
		l.t.Errorf("row 1 is there: %t, %v", there, err)
	}
}

// grows wants the size inside the pod: at once, or after the next mount where the kernel lets nobody grow a mounted filesystem.
func (l *lab) grows() {
	l.t.Helper()
	l.cfg = l.cfg.set("iris.size", "30Gi")
	l.configure(l.cfg)
	l.up()
	eventually(l.t, podWait, func() error {
		if got := l.on.kubectl(l.t, "-n", "longhorn-system", "get", "volumes.longhorn.io", "-o", "jsonpath={.items[0].spec.size}"); got != "32212254720" {
			return fmt.Errorf("the volume has %s bytes", got)
		}
		return nil
	})
	if size := l.filesystem(); size < 28<<20 {
		l.t.Logf("the filesystem has %d KiB until it is mounted again", size)
		l.on.kubectl(l.t, "-n", "iris", "scale", "deployment", "iris", "--replicas=0")
		eventually(l.t, podWait, func() error { return l.volumeIs("detached", "") })
		l.on.kubectl(l.t, "-n", "iris", "scale", "deployment", "iris", "--replicas=1")
		l.on.kubectl(l.t, "-n", "iris", "rollout", "status", "deployment/iris", "--timeout=120s")
	}
	if size := l.filesystem(); size < 28<<20 {
		l.t.Errorf("the filesystem has %d KiB, want nearly 30 GiB", size)
	}
}

// filesystem is the size of the database's filesystem in KiB, as the pod sees it.
func (l *lab) filesystem() int {
	l.t.Helper()
	output, err := l.exec("df -P -k /external | tail -n 1")
	fields := strings.Fields(output)
	if err != nil || len(fields) < 2 {
		l.t.Fatalf("df gave %q, %v", output, err)
	}
	size, err := strconv.Atoi(fields[1])
	if err != nil {
		l.t.Fatalf("df gave %q", output)
	}
	return size
}

// backsUp takes a backup with Longhorn's own objects, and reads a restored copy of the database's files in another pod.
func (l *lab) backsUp() {
	l.t.Helper()
	volume := l.on.kubectl(l.t, "-n", "longhorn-system", "get", "volumes.longhorn.io", "-o", "jsonpath={.items[0].metadata.name}")
	l.on.kubectl(l.t, "-n", "longhorn-system", "create", "secret", "generic", "bucket", "--from-literal=AWS_ACCESS_KEY_ID=key",
		"--from-literal=AWS_SECRET_ACCESS_KEY=secret")
	l.on.kubectl(l.t, "-n", "longhorn-system", "patch", "backuptargets.longhorn.io", "default", "--type=merge", "-p",
		`{"spec":{"backupTargetURL":"s3://backups@eu-west-1/","credentialSecret":"bucket"}}`)
	backup := strings.NewReplacer("VOLUME", volume)
	l.on.kubectl(l.t, "apply", "-f", writeFile(l.t, "backup.yaml", backup.Replace(backupObjects)))
	var url string
	eventually(l.t, podWait, func() error {
		got := l.on.kubectl(l.t, "-n", "longhorn-system", "get", "backups.longhorn.io", "backup-1", "-o", "jsonpath={.status.state} {.status.url}")
		state, where, _ := strings.Cut(got, " ")
		if state != "Completed" {
			return fmt.Errorf("the backup is %s", got)
		}
		url = where
		return nil
	})
	l.on.kubectl(l.t, "apply", "-f", writeFile(l.t, "restore.yaml", strings.ReplaceAll(restoreObjects, "URL", url)))
	l.on.kubectl(l.t, "wait", "pod", "reader", "--for=condition=Ready", "--timeout=180s")
	restored := l.on.kubectl(l.t, "exec", "reader", "--", "cat", "/data/iris/iris.cpf")
	if own, err := l.exec("cat /external/iris/iris.cpf"); err != nil || restored != own {
		l.t.Errorf("iris.cpf is %q in the restored volume and %q in the database's, %v", restored, own, err)
	}
	l.on.kubectl(l.t, "delete", "pod/reader", "pvc/restored", "--wait=false")
}

const restoreObjects = `
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: restored}
provisioner: driver.longhorn.io
parameters: {numberOfReplicas: "2", staleReplicaTimeout: "30", fsType: ext4, fromBackup: "URL"}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: restored, namespace: default}
spec: {storageClassName: restored, accessModes: [ReadWriteOnce], resources: {requests: {storage: 30Gi}}}
---
apiVersion: v1
kind: Pod
metadata: {name: reader, namespace: default}
spec:
  containers:
    - {name: reader, image: "ha-iris.local/busybox:1.37.0", command: [sleep, "3600"], volumeMounts: [{name: data, mountPath: /data}]}
  volumes: [{name: data, persistentVolumeClaim: {claimName: restored}}]
`
