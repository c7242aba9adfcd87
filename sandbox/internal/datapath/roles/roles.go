//go:build linux

// Package roles is the longhorn-standin program: the process of every container of Longhorn's pods on real nodes.
package roles

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"ha-iris/sandbox/internal/datapath/blockdev"
	"ha-iris/sandbox/internal/datapath/csinode"
	"ha-iris/sandbox/internal/datapath/imclient"
	"ha-iris/sandbox/internal/datapath/instances"
	"ha-iris/sandbox/internal/datapath/podparts"
)

// Streams are the process's.
type Streams struct{ Out, Err io.Writer }

// The helpers' arguments. They are this program again: see blockdev and csinode.
const (
	loopHelper = "loop-helper"
	rootHelper = "in-root"
)

const (
	// version is the driver's, that of the Longhorn that is played.
	version = "v1.12.1"
	// deviceDir is Longhorn's.
	deviceDir = "/dev/longhorn"
	// deviceWait is how long staging waits for the device: an engine needs less than a second once its volume counts as attached.
	deviceWait = 10 * time.Second
	self       = "/proc/self/exe"
)

// Run plays the container that the arguments, or the program's name, ask for, until it is told to end. It returns the exit code.
func Run(arguments []string, streams Streams) int {
	if len(arguments) > 1 && arguments[1] == loopHelper {
		return blockdev.RunHelper(arguments[2:], streams.Out, streams.Err)
	}
	if len(arguments) > 1 && arguments[1] == rootHelper {
		code, err := csinode.RunInRoot(arguments[2:])
		_, _ = fmt.Fprintln(streams.Err, err) // nobody is left to tell
		return code
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	log := slog.New(slog.NewTextHandler(streams.Err, nil))
	role := choose(arguments)
	if err := play(ctx, role, log); err != nil {
		log.Error("longhorn-standin", "role", role, "error", err)
		return 1
	}
	return 0
}

// roleOf is what each command of Longhorn's charts and controllers asks for. The first word is the program's name or its first
// argument.
func roleOf(word string) string {
	switch word {
	case "instance-manager", "csi-plugin", "uninstall", "post-upgrade", "pre-upgrade", "wait":
		return word
	case "longhorn-instance-manager":
		return "instance-manager"
	case "longhorn-csi-plugin":
		return "csi-plugin"
	case "longhorn-manager":
		return "manager"
	case "ui", "longhorn-ui":
		return "ui"
	case "deploy-driver", "longhorn-driver-deployer", "longhorn-share-manager", "idle",
		"csi-attacher", "csi-provisioner", "csi-resizer", "csi-snapshotter":
		return "idle"
	default:
		return ""
	}
}

// choose takes the last word that names a role, because "longhorn-manager uninstall" is no manager.
func choose(arguments []string) string {
	role := ""
	for at, argument := range arguments {
		if at == 0 {
			argument = filepath.Base(argument)
		}
		if named := roleOf(argument); named != "" {
			role = named
		}
	}
	return role
}

func play(ctx context.Context, role string, log *slog.Logger) error {
	switch role {
	case "instance-manager":
		return instances.Run(ctx, instances.Options{
			Root: os.Getenv(podparts.Root), MountDir: "/run/longhorn-standin", DeviceDir: deviceDir,
			Helper: []string{self, loopHelper}, Log: log,
		}, net.JoinHostPort("", strconv.Itoa(imclient.Port)))
	case "csi-plugin":
		return plugin(ctx, log)
	case "manager":
		return serve(ctx, managerPorts(), log)
	case "ui":
		return serve(ctx, []port{{number: uiPort}}, log)
	case "wait":
		return waitForManager(ctx, os.Getenv("LONGHORN_BACKEND"))
	case "idle":
		<-ctx.Done() // the controller on the host does this container's work
		return nil
	case "uninstall", "pre-upgrade", "post-upgrade":
		return job(ctx, role)
	default:
		return errors.New("neither the program's name nor its arguments name a container of Longhorn's")
	}
}

func plugin(ctx context.Context, log *slog.Logger) error {
	online, err := csinode.MayGrowOnline()
	if err != nil {
		return err
	}
	name := os.Getenv(podparts.NodeName)
	if name == "" {
		return fmt.Errorf("%s is not set", podparts.NodeName)
	}
	node := csinode.New(csinode.Options{
		NodeID: name, Version: version, DeviceDir: deviceDir, Root: os.Getenv(podparts.Root),
		Helper: []string{self, rootHelper}, MayGrowOnline: online, DeviceWait: deviceWait,
	})
	return csinode.Serve(ctx, node, os.Getenv(podparts.KubeletDir), log)
}
