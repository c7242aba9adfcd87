package snapshots

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// The times of Longhorn's driver (longhorn-manager csi/controller_server.go).
const (
	poll             = 2 * time.Second
	snapshotPatience = 90 * time.Second
	backupPatience   = 30 * time.Second
)

// What a class's parameter "type" may be, and what begins the handle of a snapshot of that type.
const (
	typeParameter = "type"
	typeSnapshot  = "snap"
	typeBackup    = "bak"
	// oldTypeBackup is typeBackup until Longhorn 1.3.
	oldTypeBackup = "bs"
	// defaultTarget is a volume's backup target unless it names another one.
	defaultTarget = "default"

	// modeParameter is what of the volume a backup uploads, and its values. Longhorn takes "" for the first one.
	modeParameter   = "backupMode"
	modeIncremental = "incremental"
	modeFull        = "full"
)

// sizeAlignment is what the size of a backup's volume is rounded up to (longhorn-manager util/util.go, RoundUpSize).
const sizeAlignment = 2 << 20

// driver plays the calls for snapshots of Longhorn's CSI driver (longhorn-manager csi/controller_server.go, CreateSnapshot and what it
// calls; api/snapshot.go). It has no ListSnapshots either: the csi-snapshotter then believes that each handle is one. Snapshots that
// become backing images (type bi) are not played.
type driver struct {
	csi.UnimplementedIdentityServer
	csi.UnimplementedControllerServer
	clients
	// namespace is Longhorn's.
	namespace string
	// pause is between two looks at something that takes time.
	pause time.Duration
}

// GetPluginInfo implements csi.IdentityServer.
func (d *driver) GetPluginInfo(context.Context, *csi.GetPluginInfoRequest) (*csi.GetPluginInfoResponse, error) {
	return &csi.GetPluginInfoResponse{Name: driverName, VendorVersion: "stand-in"}, nil
}

// Probe implements csi.IdentityServer.
func (d *driver) Probe(context.Context, *csi.ProbeRequest) (*csi.ProbeResponse, error) {
	return &csi.ProbeResponse{Ready: wrapperspb.Bool(true)}, nil
}

// ControllerGetCapabilities implements csi.ControllerServer.
func (d *driver) ControllerGetCapabilities(
	context.Context, *csi.ControllerGetCapabilitiesRequest,
) (*csi.ControllerGetCapabilitiesResponse, error) {
	return &csi.ControllerGetCapabilitiesResponse{Capabilities: []*csi.ControllerServiceCapability{{
		Type: &csi.ControllerServiceCapability_Rpc{Rpc: &csi.ControllerServiceCapability_RPC{
			Type: csi.ControllerServiceCapability_RPC_CREATE_DELETE_SNAPSHOT,
		}},
	}}}, nil
}

// CreateSnapshot implements csi.ControllerServer. A call for what is there already, or under way, goes on with it.
func (d *driver) CreateSnapshot(ctx context.Context, request *csi.CreateSnapshotRequest) (*csi.CreateSnapshotResponse, error) {
	kind := request.GetParameters()[typeParameter]
	take := d.takeBackup
	switch kind {
	case typeSnapshot:
		take = d.takeSnapshot
	case "", typeBackup, oldTypeBackup:
	default:
		return nil, status.Errorf(codes.InvalidArgument, "invalid CSI snapshot type: %s. Must be %s or %s or \"\"", kind, typeSnapshot, typeBackup)
	}
	if err := named(request); err != nil {
		return nil, err
	}
	if err := d.answers(ctx); err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	taken, err := take(ctx, request)
	if err != nil {
		if _, told := status.FromError(err); !told {
			err = status.Error(codes.Internal, err.Error())
		}
		return nil, err
	}
	return &csi.CreateSnapshotResponse{Snapshot: taken}, nil
}

func named(request *csi.CreateSnapshotRequest) error {
	switch {
	case request.GetSourceVolumeId() == "":
		return status.Error(codes.InvalidArgument, "Volume name must be provided")
	case request.GetName() == "":
		return status.Error(codes.InvalidArgument, "Snapshot name must be provided")
	default:
		return nil
	}
}

// takeSnapshot is type snap: it lies with the volume.
func (d *driver) takeSnapshot(ctx context.Context, request *csi.CreateSnapshotRequest) (*csi.Snapshot, error) {
	snapshot, err := d.cut(ctx, request)
	if err != nil {
		return nil, err
	}
	size, _, err := unstructured.NestedInt64(snapshot.Object, "status", "restoreSize")
	if err != nil {
		return nil, fmt.Errorf("read snapshot %s: %w", snapshot.GetName(), err)
	}
	return &csi.Snapshot{
		SizeBytes: size, SourceVolumeId: request.GetSourceVolumeId(), ReadyToUse: true,
		SnapshotId: handle(typeSnapshot, request.GetSourceVolumeId(), snapshot.GetName()), CreationTime: timestamp(text(snapshot, "status", "creationTime")),
	}, nil
}

// cut has Longhorn take the snapshot, unless it has it, and waits until it is ready to use.
func (d *driver) cut(ctx context.Context, request *csi.CreateSnapshotRequest) (*unstructured.Unstructured, error) {
	volume, name := request.GetSourceVolumeId(), request.GetName()
	if _, err := d.source(ctx, volume); err != nil {
		return nil, err
	}
	snapshot, err := d.get(ctx, snapshots, name)
	if err != nil {
		return nil, err
	}
	if snapshot == nil || text(snapshot, "spec", "volume") != volume {
		err := d.create(ctx, snapshots, "Snapshot", name, nil,
			map[string]any{"volume": volume, "createSnapshot": true, "labels": labels(request)})
		if err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, snapshotPatience)
	defer cancel()
	for {
		if err := d.wait(ctx); err != nil {
			reason := ""
			if snapshot != nil {
				reason = text(snapshot, "status", "error")
			}
			return nil, fmt.Errorf("waitForSnapshotToBeReady: timeout while waiting for snapshot %s to be ready: %s", name, reason)
		}
		snapshot, err = d.get(ctx, snapshots, name)
		switch {
		case err != nil:
			return nil, err
		case snapshot == nil:
			return nil, fmt.Errorf("waitForSnapshotToBeReady: error while waiting for snapshot %s to be ready: not found", name)
		}
		if ready, _, err := unstructured.NestedBool(snapshot.Object, "status", "readyToUse"); err == nil && ready {
			return snapshot, nil
		}
	}
}

// wait lets a pause pass, or fails with the context.
func (d *driver) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d.pause):
		return nil
	}
}

// takeBackup is type bak: a snapshot and a backup of it. It answers once the backup has begun, and is called again until that is complete.
func (d *driver) takeBackup(ctx context.Context, request *csi.CreateSnapshotRequest) (*csi.Snapshot, error) {
	volume, name := request.GetSourceVolumeId(), request.GetName()
	// First: the volume may be gone while the backup is there.
	backup, err := d.backupOf(ctx, volume, name)
	if err != nil {
		return nil, err
	}
	if backup != nil {
		if reason := text(backup, "status", "error"); reason != "" {
			return nil, status.Error(codes.Internal, reason)
		}
		return asSnapshot(volume, backup, text(backup, "status", "snapshotCreatedAt"), text(backup, "status", "volumeSize")), nil
	}
	source, err := d.source(ctx, volume)
	if err != nil {
		return nil, err
	}
	if err := d.targetAvailable(ctx, targetOf(source)); err != nil {
		return nil, err
	}
	snapshot, err := d.cut(ctx, request)
	if err != nil {
		return nil, err
	}
	if err := d.backUp(ctx, request, source); err != nil {
		return nil, err
	}
	if backup, err = d.begun(ctx, volume, name); err != nil {
		return nil, err
	}
	return asSnapshot(volume, backup, text(snapshot, "status", "creationTime"), text(source, "spec", "size")), nil
}

// source is the volume.
func (d *driver) source(ctx context.Context, name string) (*unstructured.Unstructured, error) {
	volume, err := d.get(ctx, volumes, name)
	if err == nil && volume == nil {
		err = status.Errorf(codes.NotFound, "volume %s not found", name)
	}
	return volume, err
}

func targetOf(volume *unstructured.Unstructured) string {
	if target := text(volume, "spec", "backupTargetName"); target != "" {
		return target
	}
	return defaultTarget
}

// targetAvailable refuses a backup to a target that Longhorn cannot reach, or that has no address.
func (d *driver) targetAvailable(ctx context.Context, name string) error {
	target, err := d.get(ctx, targets, name)
	switch {
	case err != nil:
		return err
	case target == nil:
		return status.Errorf(codes.NotFound, "backup target %s not found", name)
	}
	available, _, err := unstructured.NestedBool(target.Object, "status", "available")
	if err != nil || !available || text(target, "spec", "backupTargetURL") == "" {
		return status.Errorf(codes.Aborted, "backup target %s is not available", name)
	}
	return nil
}

// backUp has Longhorn back the snapshot up to the volume's target. What it says of an unknown mode is its webhook's (longhorn-manager
// webhook/resources/backup/validator.go).
func (d *driver) backUp(ctx context.Context, request *csi.CreateSnapshotRequest, volume *unstructured.Unstructured) error {
	mode, given := request.GetParameters()[modeParameter]
	switch {
	case !given:
		mode = modeIncremental
	case mode != "" && mode != modeIncremental && mode != modeFull:
		return fmt.Errorf("failed to backup snapshot: BackupMode %s is not a valid option", mode)
	}
	name := "backup-" + strings.ReplaceAll(uuid.NewString(), "-", "")[:16]
	return d.create(ctx, backups, "Backup", name, map[string]string{volumeLabel: volume.GetName(), targetLabel: targetOf(volume)},
		map[string]any{"snapshotName": request.GetName(), "labels": labels(request), "backupMode": mode})
}

// labels are the class's parameters: Longhorn's objects get them as labels of their own.
func labels(request *csi.CreateSnapshotRequest) map[string]any {
	found := map[string]any{}
	for key, value := range request.GetParameters() {
		found[key] = value
	}
	return found
}

// begun waits until Longhorn knows when the backup's snapshot was taken. A backup of which it does not know that in time is returned
// nevertheless: it is not complete, and so the csi-snapshotter calls again.
func (d *driver) begun(ctx context.Context, volume, snapshot string) (*unstructured.Unstructured, error) {
	patient, cancel := context.WithTimeout(ctx, backupPatience)
	defer cancel()
	for {
		backup, err := d.backupOf(ctx, volume, snapshot)
		if err != nil {
			return nil, err
		}
		if backup != nil && text(backup, "status", "snapshotCreatedAt") != "" {
			return backup, nil
		}
		if d.wait(patient) == nil {
			continue
		}
		if backup, err = d.backupOf(ctx, volume, snapshot); err == nil && backup == nil {
			err = status.Errorf(codes.Internal,
				"waitForBackupControllerSync: timeout waiting for Backup CR to be created for volume %s snapshot %s", volume, snapshot)
		}
		return backup, err
	}
}

// backupOf returns the backup of a snapshot, in any state; nil if there is none. While the volume is there, one in another target than
// the volume's does not count.
func (d *driver) backupOf(ctx context.Context, volume, snapshot string) (*unstructured.Unstructured, error) {
	source, err := d.get(ctx, volumes, volume)
	if err != nil {
		return nil, err
	}
	list, err := d.kind(backups).List(ctx, metav1.ListOptions{LabelSelector: volumeLabel + "=" + volume})
	if err != nil {
		return nil, fmt.Errorf("list backups of volume %s: %w", volume, err)
	}
	for i := range list.Items {
		name := text(&list.Items[i], "spec", "snapshotName")
		if name == "" {
			name = text(&list.Items[i], "status", "snapshotName")
		}
		if name == snapshot && (source == nil || targetOf(source) == targetOfBackup(&list.Items[i])) {
			return &list.Items[i], nil
		}
	}
	return nil, nil
}

// targetOfBackup is in the backup's status only once it is complete.
func targetOfBackup(backup *unstructured.Unstructured) string {
	if target := text(backup, "status", "backupTargetName"); target != "" {
		return target
	}
	return backup.GetLabels()[targetLabel]
}

func asSnapshot(volume string, backup *unstructured.Unstructured, taken, size string) *csi.Snapshot {
	bytes, err := strconv.ParseInt(size, 10, 64)
	if err != nil {
		bytes = 0 // The original's answer, too, which it then rounds up.
	}
	bytes = max(1, (bytes+sizeAlignment-1)/sizeAlignment) * sizeAlignment
	return &csi.Snapshot{
		SizeBytes: bytes, SourceVolumeId: volume, SnapshotId: handle(typeBackup, volume, backup.GetName()), CreationTime: timestamp(taken),
		ReadyToUse: text(backup, "status", "state") == "Completed",
	}
}

// timestamp is nil for a text that is no time.
func timestamp(text string) *timestamppb.Timestamp {
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return nil
	}
	return timestamppb.New(at)
}

// handle is how a VolumeSnapshotContent names it.
func handle(kind, volume, name string) string { return kind + "://" + volume + "/" + name }

// parse takes a handle apart. Texts are empty if it is none.
func parse(handle string) (kind, volume, name string) {
	kind, rest, found := strings.Cut(handle, "://")
	volume, name, complete := strings.Cut(rest, "/")
	if !found || !complete {
		return "", "", ""
	}
	if kind == oldTypeBackup {
		kind = typeBackup
	}
	name, _, _ = strings.Cut(name, "/")
	return kind, volume, name
}

// DeleteSnapshot implements csi.ControllerServer. A handle that is none was deleted, by the original, too.
func (d *driver) DeleteSnapshot(ctx context.Context, request *csi.DeleteSnapshotRequest) (*csi.DeleteSnapshotResponse, error) {
	if request.GetSnapshotId() == "" {
		return nil, status.Error(codes.InvalidArgument, "missing snapshot id in request")
	}
	kind, volume, name := parse(request.GetSnapshotId())
	if (kind == typeSnapshot || kind == typeBackup) && name == "" {
		return nil, status.Errorf(codes.NotFound, "volume source snapshot %s is not found", request.GetSnapshotId())
	}
	if err := d.answers(ctx); err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	var err error
	switch kind {
	case typeSnapshot:
		var source *unstructured.Unstructured
		if source, err = d.get(ctx, volumes, volume); err == nil && source != nil {
			err = d.remove(ctx, snapshots, name)
		}
	case typeBackup:
		err = d.remove(ctx, backups, name)
	}
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	return &csi.DeleteSnapshotResponse{}, nil
}
