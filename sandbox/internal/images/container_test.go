package images

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"ha-iris/sandbox/internal/testkit"
)

// container runs an image's file system in namespaces of its own, as the vendor's user.
type container struct {
	t      *testing.T
	root   string
	config v1.Config
	env    []string

	main  *exec.Cmd
	pid   int // The first process', as this machine sees it.
	out   testkit.Buffer
	ended chan int
}

func needs(t *testing.T, programs ...string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("not run: a container's namespaces need root")
	}
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("not run: there is no %s on PATH", program)
		}
	}
	if out, err := exec.Command("unshare", "--mount", "--pid", "--net", "--fork", "true").CombinedOutput(); err != nil {
		t.Skipf("not run: no namespaces here: %v %s", err, out)
	}
}

// newContainer unpacks an image and gives it a durable directory.
func newContainer(t *testing.T, reference string) *container {
	t.Helper()
	needs(t, "unshare", "nsenter", "chroot", "mount", "ip")
	dir, built := build(t)
	c := &container{t: t, root: filepath.Join(t.TempDir(), "root")}
	for _, image := range built {
		if image.Name == reference {
			c.unpack(dir, image.Digest)
		}
	}
	c.own("external", irisOwner)
	c.env = append(slices.Clone(c.config.Env), "HOME=/home/irisowner",
		"IRIS_STANDIN_FIRST_START=0s", "IRIS_STANDIN_WARM_START=0s", "IRIS_STANDIN_STOP=0s", "IRIS_STANDIN_MIN_FREE=0", "IRIS_STANDIN_CORES=2")
	t.Cleanup(c.kill)
	return c
}

func (c *container) unpack(dir, digest string) {
	c.t.Helper()
	hash, err := v1.NewHash(digest)
	if err != nil {
		c.t.Fatal(err)
	}
	image, err := layout.Path(dir).Image(hash)
	if err != nil {
		c.t.Fatal(err)
	}
	file, err := image.ConfigFile()
	if err != nil {
		c.t.Fatal(err)
	}
	c.config = file.Config
	layers, err := image.Layers()
	if err != nil {
		c.t.Fatal(err)
	}
	if err := os.Mkdir(c.root, 0o755); err != nil {
		c.t.Fatal(err)
	}
	for _, layer := range layers {
		content, err := layer.Uncompressed()
		if err != nil {
			c.t.Fatal(err)
		}
		if err := errors.Join(unpackLayer(c.root, content), content.Close()); err != nil {
			c.t.Fatal(err)
		}
	}
}

func unpackLayer(root string, content io.Reader) error {
	reader := tar.NewReader(content)
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		path := filepath.Join(root, header.Name)
		switch header.Typeflag {
		case tar.TypeSymlink:
			err = os.Symlink(header.Linkname, path)
		case tar.TypeDir:
			err = os.MkdirAll(path, 0o755)
		default:
			var text []byte
			if text, err = io.ReadAll(reader); err == nil {
				err = errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, text, 0o600))
			}
		}
		if err == nil {
			err = os.Lchown(path, header.Uid, header.Gid)
		}
		if err == nil && header.Typeflag != tar.TypeSymlink {
			err = syscall.Chmod(path, uint32(header.Mode)) //nolint:gosec // A mode has twelve bits.
		}
		if err != nil {
			return fmt.Errorf("unpack %s: %w", header.Name, err)
		}
	}
}

func (c *container) path(elements ...string) string {
	return filepath.Join(append([]string{c.root}, elements...)...)
}

// own makes a directory that belongs to the user.
func (c *container) own(name string, user int) {
	c.t.Helper()
	if err := errors.Join(os.MkdirAll(c.path(name), 0o755), os.Chown(c.path(name), user, user)); err != nil {
		c.t.Fatal(err)
	}
}

// inRoot is the end of a command line that runs a command in the image's file system.
func (c *container) inRoot(command []string) []string {
	user := fmt.Sprintf("--userspec=%d:%d", irisOwner, irisOwner)
	return slices.Concat([]string{"chroot", user, "--groups=", c.root, "/usr/bin/env", "-i"}, c.env, command)
}

// start runs a command as the container's first process.
func (c *container) start(command ...string) {
	c.t.Helper()
	setup := `ip link set lo up && mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" && mount --bind "$0/external" "$0/external" && exec "$@"`
	arguments := []string{"--mount", "--pid", "--net", "--ipc", "--uts", "--fork", "sh", "-c", setup, c.root}
	c.pid = 0
	c.main = exec.Command("unshare", append(arguments, c.inRoot(command)...)...)
	c.main.Stdout, c.main.Stderr = &c.out, &c.out
	c.main.WaitDelay = 5 * time.Second
	if err := c.main.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.ended = make(chan int, 1)
	go func(main *exec.Cmd, ended chan int) {
		_ = main.Wait() // The exit code says it.
		ended <- main.ProcessState.ExitCode()
	}(c.main, c.ended)
	c.eventually("the container has a first process", func() bool {
		children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", c.main.Process.Pid, c.main.Process.Pid))
		_, err := fmt.Sscan(string(children), &c.pid)
		return err == nil || len(c.ended) > 0
	})
}

// wait returns the exit code once the container has ended.
func (c *container) wait() int {
	c.t.Helper()
	select {
	case code := <-c.ended:
		c.main = nil
		return code
	case <-time.After(time.Minute):
		c.t.Fatalf("the container does not end:\n%s", &c.out)
		return -1
	}
}

func (c *container) kill() {
	if c.main == nil {
		return
	}
	if c.pid != 0 {
		_ = syscall.Kill(c.pid, syscall.SIGKILL) // With its namespace. unshare's --kill-child is lost with the change of user.
	}
	_ = c.main.Process.Kill()
	<-c.ended
}

// once runs a command in a container of its own and returns its exit code.
func (c *container) once(command ...string) int {
	c.t.Helper()
	c.start(command...)
	return c.wait()
}

// exec runs a command in the running container, as kubectl exec and probes do.
func (c *container) exec(command ...string) (string, error) {
	arguments := []string{"-t", fmt.Sprint(c.pid), "--mount", "--pid", "--net", "--ipc", "--uts"}
	out, err := exec.Command("nsenter", append(arguments, c.inRoot(command)...)...).CombinedOutput()
	return string(out), err
}

func (c *container) eventually(what string, is func() bool) {
	c.t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			c.t.Fatalf("not within a minute: %s\n%s", what, &c.out)
		}
	}
}

// running waits for the instance, and until it admits users: it shows as running before.
func (c *container) running() {
	c.t.Helper()
	c.eventually("the instance runs", func() bool {
		if len(c.ended) > 0 {
			c.t.Fatalf("the container ended:\n%s", &c.out)
		}
		out, err := c.exec("iris", "qlist", "IRIS")
		if err != nil || !strings.Contains(out, "^running, since") {
			return false
		}
		_, err = c.exec("/bin/sh", "-c", "echo halt | iris session iris")
		return err == nil
	})
}

// stack is the part of the program's golden file that runs in the container.
type stack struct {
	Deployment struct {
		Inputs appsv1.Deployment `json:"inputs"`
	} `json:"kubernetes:apps/v1:Deployment iris"`
	Merge struct {
		Inputs corev1.ConfigMap `json:"inputs"`
	} `json:"kubernetes:core/v1:ConfigMap iris-cpf-merge"`
	Scripts struct {
		Inputs corev1.ConfigMap `json:"inputs"`
	} `json:"kubernetes:core/v1:ConfigMap iris-scripts"`
}

// readStack reads what ha-iris deploys.
func readStack(t *testing.T) (pod corev1.PodSpec, merge, script string) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(module, "..", "test", "golden", "existing.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var s stack
	if err := yaml.Unmarshal(content, &s); err != nil {
		t.Fatal(err)
	}
	merge, script = s.Merge.Inputs.Data["merge.cpf"], s.Scripts.Inputs.Data["web-server.sh"]
	pod = s.Deployment.Inputs.Spec.Template.Spec
	if len(pod.Containers) == 0 || len(pod.InitContainers) == 0 || merge == "" || script == "" {
		t.Fatalf("the golden file has another shape: %+v", s)
	}
	return pod, merge, script
}
