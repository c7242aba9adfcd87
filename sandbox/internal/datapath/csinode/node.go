//go:build linux

// Package csinode is the node's part of the CSI driver driver.longhorn.io, as longhorn-manager's csi/node_server.go: it mounts
// the device that the node's engine has made. What the original asks longhorn-manager it reads off the device.
package csinode

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/mount-utils"
	utilexec "k8s.io/utils/exec"
)

// DriverName is the driver's.
const DriverName = "driver.longhorn.io"

// Options say where the driver works.
type Options struct {
	NodeID  string
	Version string
	// DeviceDir has the volumes' devices; the path is the same here and below Root.
	DeviceDir string
	// Root is where the node's root directory is mounted, with the tools; empty is this process's own.
	Root string
	// Helper runs RunInRoot.
	Helper []string
	// MayGrowOnline is what the function of that name says.
	MayGrowOnline bool
	// DeviceWait is how long NodeStageVolume waits for a device.
	DeviceWait time.Duration
}

// Node is the Identity and the Node service.
type Node struct {
	csi.UnimplementedIdentityServer
	csi.UnimplementedNodeServer
	options Options
	mounter mount.Interface
	tools   utilexec.Interface
}

// New returns the services.
func New(options Options) *Node {
	return &Node{
		options: options, mounter: mounter{mount.NewWithoutSystemd("")},
		tools: rootExec{utilexec.New(), options.Helper, options.Root},
	}
}

// GetPluginInfo is CSI's.
func (n *Node) GetPluginInfo(context.Context, *csi.GetPluginInfoRequest) (*csi.GetPluginInfoResponse, error) {
	return &csi.GetPluginInfoResponse{Name: DriverName, VendorVersion: n.options.Version}, nil
}

// Probe is CSI's.
func (n *Node) Probe(context.Context, *csi.ProbeRequest) (*csi.ProbeResponse, error) {
	return &csi.ProbeResponse{}, nil
}

// GetPluginCapabilities is CSI's.
func (n *Node) GetPluginCapabilities(context.Context, *csi.GetPluginCapabilitiesRequest) (*csi.GetPluginCapabilitiesResponse, error) {
	service := func(kind csi.PluginCapability_Service_Type) *csi.PluginCapability {
		return &csi.PluginCapability{Type: &csi.PluginCapability_Service_{Service: &csi.PluginCapability_Service{Type: kind}}}
	}
	return &csi.GetPluginCapabilitiesResponse{Capabilities: []*csi.PluginCapability{
		service(csi.PluginCapability_Service_CONTROLLER_SERVICE),
		service(csi.PluginCapability_Service_VOLUME_ACCESSIBILITY_CONSTRAINTS),
		{Type: &csi.PluginCapability_VolumeExpansion_{
			VolumeExpansion: &csi.PluginCapability_VolumeExpansion{Type: csi.PluginCapability_VolumeExpansion_ONLINE},
		}},
	}}, nil
}

// NodeGetInfo is CSI's. The original adds the zone, which it asks the API server for.
func (n *Node) NodeGetInfo(context.Context, *csi.NodeGetInfoRequest) (*csi.NodeGetInfoResponse, error) {
	return &csi.NodeGetInfoResponse{
		NodeId:             n.options.NodeID,
		AccessibleTopology: &csi.Topology{Segments: map[string]string{corev1.LabelHostname: n.options.NodeID}},
	}, nil
}

// NodeGetCapabilities is CSI's.
func (n *Node) NodeGetCapabilities(context.Context, *csi.NodeGetCapabilitiesRequest) (*csi.NodeGetCapabilitiesResponse, error) {
	var all []*csi.NodeServiceCapability
	for _, kind := range []csi.NodeServiceCapability_RPC_Type{
		csi.NodeServiceCapability_RPC_GET_VOLUME_STATS,
		csi.NodeServiceCapability_RPC_STAGE_UNSTAGE_VOLUME,
		csi.NodeServiceCapability_RPC_EXPAND_VOLUME,
		csi.NodeServiceCapability_RPC_SINGLE_NODE_MULTI_WRITER,
	} {
		all = append(all, &csi.NodeServiceCapability{
			Type: &csi.NodeServiceCapability_Rpc{Rpc: &csi.NodeServiceCapability_RPC{Type: kind}},
		})
	}
	return &csi.NodeGetCapabilitiesResponse{Capabilities: all}, nil
}

// missing says which of a request's fields is empty, in the original's words.
func missing(fields ...string) error {
	for i := 0; i+1 < len(fields); i += 2 {
		if fields[i+1] == "" {
			return status.Errorf(codes.InvalidArgument, "%s missing in request", fields[i])
		}
	}
	return nil
}

// mountable refuses what the stand-in does not play.
func mountable(capability *csi.VolumeCapability) error {
	switch {
	case capability == nil:
		return status.Error(codes.InvalidArgument, "volume capability missing in request")
	case capability.GetMount() == nil:
		return status.Error(codes.InvalidArgument, "the stand-in has filesystems only, no block volumes")
	}
	switch capability.GetAccessMode().GetMode() {
	case csi.VolumeCapability_AccessMode_MULTI_NODE_MULTI_WRITER, csi.VolumeCapability_AccessMode_MULTI_NODE_SINGLE_WRITER,
		csi.VolumeCapability_AccessMode_MULTI_NODE_READER_ONLY:
		return status.Error(codes.InvalidArgument, "the stand-in has no volumes that several nodes share")
	default:
		return nil
	}
}

// device waits for the volume's device. On a node that the volume is not attached to it never comes: only the engine's node has it.
func (n *Node) device(ctx context.Context, volume string) (string, error) {
	path := filepath.Join(n.options.DeviceDir, filepath.Base(volume))
	for deadline := time.Now().Add(n.options.DeviceWait); ; {
		var found unix.Stat_t
		err := unix.Stat(path, &found)
		if err == nil && found.Mode&unix.S_IFMT == unix.S_IFBLK {
			return path, nil
		}
		if err != nil && !errors.Is(err, unix.ENOENT) {
			return "", status.Errorf(codes.Internal, "look for device of volume %s: %v", volume, err)
		}
		if time.Now().After(deadline) {
			return "", status.Errorf(codes.InvalidArgument, "volume %s hasn't been attached yet", volume)
		}
		select {
		case <-ctx.Done():
			return "", status.FromContextError(ctx.Err()).Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// NodeGetVolumeStats is CSI's.
func (n *Node) NodeGetVolumeStats(_ context.Context, r *csi.NodeGetVolumeStatsRequest) (*csi.NodeGetVolumeStatsResponse, error) {
	if err := missing("volume path", r.GetVolumePath(), "volume id", r.GetVolumeId()); err != nil {
		return nil, err
	}
	var space unix.Statfs_t
	err := unix.Statfs(r.GetVolumePath(), &space)
	if errors.Is(err, unix.ENOENT) {
		return nil, status.Errorf(codes.NotFound, "volume %s is not mounted on path %s", r.GetVolumeId(), r.GetVolumePath())
	}
	if err != nil {
		return nil, status.Errorf(codes.Internal, "look at volume %s: %v", r.GetVolumeId(), err)
	}
	return &csi.NodeGetVolumeStatsResponse{Usage: []*csi.VolumeUsage{
		{
			Available: int64(space.Bavail) * space.Bsize, Total: int64(space.Blocks) * space.Bsize,
			Used: int64(space.Blocks-space.Bfree) * space.Bsize, Unit: csi.VolumeUsage_BYTES,
		},
		{
			Available: int64(space.Ffree), Total: int64(space.Files), Used: int64(space.Files - space.Ffree), Unit: csi.VolumeUsage_INODES,
		},
	}}, nil
}

// remove removes an empty mount point.
func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
