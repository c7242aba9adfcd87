//go:build linux

package csinode

import (
	"context"
	"errors"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"k8s.io/mount-utils"
)

// NodeStageVolume is CSI's: it mounts the volume's device, with a filesystem made first if the device is empty.
func (n *Node) NodeStageVolume(ctx context.Context, r *csi.NodeStageVolumeRequest) (*csi.NodeStageVolumeResponse, error) {
	path, volume := r.GetStagingTargetPath(), r.GetVolumeId()
	err := missing("staging target path", path, "volume id", volume)
	if err == nil {
		err = mountable(r.GetVolumeCapability())
	}
	if err != nil {
		return nil, err
	}
	device, err := n.device(ctx, volume)
	if err != nil {
		if unmountErr := unmount(path); unmountErr != nil { // what a volume that is gone left there
			return nil, status.Errorf(codes.Internal, "%v; %v", err, unmountErr)
		}
		return nil, err
	}
	mounted, err := ensureMountPoint(path, n.mounter)
	if err != nil {
		return nil, status.Errorf(codes.Internal, "prepare mount point of volume %s: %v", volume, err)
	}
	if !mounted {
		if err := n.mountDevice(device, path, r); err != nil {
			return nil, status.Errorf(codes.Internal, "volume %s: %v", volume, err)
		}
	}
	// A restored volume can be larger than its filesystem, and nobody asks for its growth.
	if err := n.grow(device, path); err != nil && !errors.Is(err, errAtNextMount) {
		return nil, status.Errorf(codes.Internal, "volume %s: %v", volume, err)
	}
	return &csi.NodeStageVolumeResponse{}, nil
}

func (n *Node) mountDevice(device, path string, r *csi.NodeStageVolumeRequest) error {
	wanted := r.GetVolumeCapability().GetMount()
	fsType, options := wanted.GetFsType(), wanted.GetMountFlags()
	if fsType == "" {
		fsType = defaultFSType
	}
	if fsType == "xfs" {
		options = append(options, "nouuid")
	}
	if !n.options.MayGrowOnline {
		if err := n.growUnmounted(device); err != nil {
			return err
		}
	}
	format := mount.SafeFormatAndMount{Interface: n.mounter, Exec: n.tools}
	return format.FormatAndMountSensitiveWithFormatOptions(device, path, fsType, options, nil,
		formatOptions(fsType, r.GetVolumeContext()["mkfsParams"]))
}

// NodeUnstageVolume is CSI's. The directory belongs to the kubelet and stays.
func (n *Node) NodeUnstageVolume(_ context.Context, r *csi.NodeUnstageVolumeRequest) (*csi.NodeUnstageVolumeResponse, error) {
	if err := missing("staging target path", r.GetStagingTargetPath(), "volume id", r.GetVolumeId()); err != nil {
		return nil, err
	}
	if err := unmount(r.GetStagingTargetPath()); err != nil {
		return nil, status.Errorf(codes.Internal, "volume %s: %v", r.GetVolumeId(), err)
	}
	return &csi.NodeUnstageVolumeResponse{}, nil
}

// NodePublishVolume is CSI's: a bind mount of what is staged. Where that is no longer valid it stages again, because a kubelet does
// not do so by itself.
func (n *Node) NodePublishVolume(ctx context.Context, r *csi.NodePublishVolumeRequest) (*csi.NodePublishVolumeResponse, error) {
	path, staged, volume := r.GetTargetPath(), r.GetStagingTargetPath(), r.GetVolumeId()
	err := missing("target path", path, "staging target path", staged, "volume id", volume)
	if err == nil {
		err = mountable(r.GetVolumeCapability())
	}
	if err != nil {
		return nil, err
	}
	if mounted, err := ensureMountPoint(staged, n.mounter); err != nil || !mounted {
		_, err := n.NodeStageVolume(ctx, &csi.NodeStageVolumeRequest{
			VolumeId: volume, PublishContext: r.GetPublishContext(), StagingTargetPath: staged,
			VolumeCapability: r.GetVolumeCapability(), VolumeContext: r.GetVolumeContext(),
		})
		if status.Code(err) == codes.InvalidArgument {
			return nil, err
		}
		if err != nil {
			return nil, status.Errorf(codes.FailedPrecondition, "staging target path %s is no longer valid for volume %s: %v", staged, volume, err)
		}
	}
	mounted, err := ensureMountPoint(path, n.mounter)
	if err != nil {
		return nil, status.Errorf(codes.Internal, "prepare mount point of volume %s: %v", volume, err)
	}
	if mounted {
		return &csi.NodePublishVolumeResponse{}, nil
	}
	options := []string{"bind"}
	if r.GetReadonly() {
		options = append(options, "ro")
	}
	if err := n.mounter.Mount(staged, path, "", append(options, r.GetVolumeCapability().GetMount().GetMountFlags()...)); err != nil {
		return nil, status.Errorf(codes.Internal, "bind mount volume %s: %v", volume, err)
	}
	return &csi.NodePublishVolumeResponse{}, nil
}

// NodeUnpublishVolume is CSI's.
func (n *Node) NodeUnpublishVolume(_ context.Context, r *csi.NodeUnpublishVolumeRequest) (*csi.NodeUnpublishVolumeResponse, error) {
	if err := missing("target path", r.GetTargetPath(), "volume id", r.GetVolumeId()); err != nil {
		return nil, err
	}
	if err := errors.Join(unmount(r.GetTargetPath()), remove(r.GetTargetPath())); err != nil {
		return nil, status.Errorf(codes.Internal, "clean up volume %s: %v", r.GetVolumeId(), err)
	}
	return &csi.NodeUnpublishVolumeResponse{}, nil
}

// NodeExpandVolume is CSI's: the device has grown already, the filesystem follows.
func (n *Node) NodeExpandVolume(ctx context.Context, r *csi.NodeExpandVolumeRequest) (*csi.NodeExpandVolumeResponse, error) {
	path := r.GetStagingTargetPath()
	if path == "" {
		path = r.GetVolumePath()
	}
	if err := missing("volume path", path, "volume id", r.GetVolumeId()); err != nil {
		return nil, err
	}
	if r.GetCapacityRange() == nil {
		return nil, status.Error(codes.InvalidArgument, "capacity range missing in request")
	}
	device, err := n.device(ctx, r.GetVolumeId())
	if err != nil {
		return nil, err
	}
	err = n.grow(device, path)
	if errors.Is(err, errAtNextMount) { // which the kubelet understands as "not while it is in use"
		return nil, status.Errorf(codes.FailedPrecondition, "volume %s: %v", r.GetVolumeId(), err)
	}
	if err != nil {
		return nil, status.Errorf(codes.Internal, "volume %s: %v", r.GetVolumeId(), err)
	}
	return &csi.NodeExpandVolumeResponse{CapacityBytes: r.GetCapacityRange().GetRequiredBytes()}, nil
}
