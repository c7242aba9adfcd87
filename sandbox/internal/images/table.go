// Package images builds the container images of the lab, without Docker and the same from the same sources, and serves them
// to the nodes as a registry would.
package images

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"sigs.k8s.io/yaml"

	"ha-iris/sandbox/internal/irisstandin"
)

// Names of the images that are ha-iris' own. No registry can have that host name: .local belongs to the local network.
const (
	// Pause is the image of the container that holds a pod's namespaces, containerd's sandbox image.
	Pause = "ha-iris.local/pause:1.0.0"
	// IRIS plays the Community image that ha-iris runs by default.
	IRIS = irisRepository + ":" + irisstandin.DefaultVersion
	// IRISNewer plays a newer Community image, for upgrades.
	IRISNewer = irisRepository + ":" + newerVersion
	// IRISLicensed plays an image that needs a licence key and has no web server.
	IRISLicensed = irisRepository + "-licensed:" + irisstandin.DefaultVersion
	// Client plays busybox' own image, for pods beside the database, such as the consumer's of examples/.
	Client = "ha-iris.local/busybox:1.37.0"

	// IRISTenSeconds is IRIS, with a start of 10 s after a crash: what measurements of failover count for it (ops/drill/bench).
	IRISTenSeconds = irisRepository + "-10s:" + irisstandin.DefaultVersion
	// Agent is ha-iris' own agent, as it is in this checkout.
	Agent = AgentRepository + ":0.1.0"
	// AgentRepository is its name without the tag.
	AgentRepository = "ha-iris.local/agent"

	irisRepository = "ha-iris.local/iris-standin"
	// newerVersion is the release after the default one, of build 221 (facts, iris.md 1.4), written as a full build tag.
	newerVersion = "2026.2.0.221.0"
)

// recipe says how an image is built.
type recipe struct {
	// names are the references in full, with the registry.
	names []string
	// plays says what the image stands for.
	plays string
	// parts are from the bottom up.
	parts  []part
	config v1.Config
}

// part is a layer. Images share those of the same name.
type part struct {
	name string
	make func(*builder) (tree, error)
}

func shell() part {
	return part{"shell", func(b *builder) (tree, error) { return userland(b.busybox) }}
}

// table lists all images. Longhorn's ones are there when the stand-in's program is.
func table(o options) ([]recipe, error) {
	recipes := []recipe{
		{
			names: []string{Pause},
			plays: "Kubernetes' pause container",
			parts: []part{{"pause", pauseProgram}},
			// The user of Kubernetes' own image.
			config: v1.Config{User: "65535:65535", Entrypoint: []string{"/pause"}},
		},
		iris("IRIS, Community Edition", irisstandin.DefaultVersion, irisstandin.Community, IRIS, irisRepository+":2026.1"),
		iris("IRIS, Community Edition, a newer release", newerVersion, irisstandin.Community, IRISNewer, irisRepository+":2026.2"),
		tenSeconds(iris("IRIS, Community Edition, 10 s from a crash to running", irisstandin.DefaultVersion, irisstandin.Community, IRISTenSeconds)),
		iris("IRIS, licensed", irisstandin.DefaultVersion, irisstandin.Licensed, IRISLicensed),
		{
			names:  []string{Client},
			plays:  "busybox",
			parts:  []part{shell(), {"client", clientTools}},
			config: v1.Config{Cmd: []string{"sh"}, Env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}},
		},
	}
	if o.agent != "" {
		recipes = append(recipes, recipe{
			names: []string{Agent},
			plays: "ha-iris' agent, which it is",
			parts: []part{{"agent", agentProgram}},
			// The user of distroless images, which the released one is built upon.
			config: v1.Config{User: "65532:65532", Entrypoint: []string{"/" + agentName}},
		})
	}
	if !hasLonghorn(o.module) {
		return recipes, nil
	}
	tag, err := longhornTag(o.module)
	if err != nil {
		return nil, err
	}
	return append(recipes, longhorn(tag)...), nil
}

func iris(plays, version string, edition irisstandin.Edition, names ...string) recipe {
	return recipe{
		names: names,
		plays: plays,
		parts: []part{
			shell(),
			{"iris", irisPrograms},
			{"iris " + version + " " + string(edition), func(*builder) (tree, error) { return irisInstallation(version, edition) }},
		},
		config: irisConfig(),
	}
}

// tenSeconds halves the recovery: 5 s of it, after the 5 s of a start.
func tenSeconds(r recipe) recipe {
	r.config.Env = append(r.config.Env, "IRIS_STANDIN_RECOVERY=5s")
	return r
}

const agentName = "agent"

func agentProgram(b *builder) (tree, error) {
	t := tree{}
	return t, t.program(agentName, b.program(agentName))
}

const longhornProgram = "longhorn-standin"

func hasLonghorn(module string) bool {
	_, err := os.Stat(filepath.Join(module, "cmd", longhornProgram))
	return err == nil
}

// longhornNames are the images that the sandbox's chart names and that the stand-in of Longhorn gives to its pods
// (internal/standin: driver.go, instances.go).
func longhornNames() []string {
	return []string{
		"longhorn-manager", "longhorn-ui", "longhorn-share-manager", "longhorn-instance-manager", "longhorn-csi-plugin",
		"csi-attacher", "csi-provisioner", "csi-resizer", "csi-snapshotter",
	}
}

// longhornContainers are the containers of those pods whose names are not an image's. The program acts by the name that it is
// called with, so each is a command of its own.
func longhornContainers() []string {
	return []string{
		"longhorn-driver-deployer", "wait-longhorn-manager", "pre-pull-share-manager-image", "instance-manager",
		"longhorn-uninstall", "longhorn-post-upgrade", "longhorn-pre-upgrade",
	}
}

// longhorn is one image under all of its names. A container without a command runs the one that is called as its image.
func longhorn(tag string) []recipe {
	var recipes []recipe
	for _, name := range longhornNames() {
		repository := "docker.io/longhornio/" + name
		recipes = append(recipes, recipe{
			// The stand-in names some of them without a tag.
			names: []string{repository + ":" + tag, repository + ":latest"},
			plays: "Longhorn's " + name,
			parts: []part{shell(), {"longhorn", longhornPrograms}},
			config: v1.Config{
				Entrypoint: []string{"/usr/bin/" + name},
				Env:        []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
			},
		})
	}
	return recipes
}

func pauseProgram(b *builder) (tree, error) {
	t := tree{}
	return t, t.program("pause", b.program("pause"))
}

func clientTools(b *builder) (tree, error) {
	t := tree{}
	return t, t.program("usr/bin/nc", b.program("nc"))
}

func longhornPrograms(b *builder) (tree, error) {
	t := tree{}
	for _, name := range slices.Concat(longhornNames(), longhornContainers()) {
		t.link("usr/bin/"+name, longhornProgram)
	}
	return t, t.program("usr/bin/"+longhornProgram, b.program(longhornProgram))
}

// longhornTag is the version that the sandbox's chart names its images with.
func longhornTag(module string) (string, error) {
	path := filepath.Join(module, "charts", "longhorn", "Chart.yaml")
	content, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read the version of Longhorn's images: %w", err)
	}
	var chart struct {
		AppVersion string `json:"appVersion"`
	}
	if err := yaml.Unmarshal(content, &chart); err != nil {
		return "", fmt.Errorf("read the version of Longhorn's images in %s: %w", path, err)
	}
	if chart.AppVersion == "" {
		return "", fmt.Errorf("%s has no appVersion", path)
	}
	return chart.AppVersion, nil
}
