// Package imclient is how the controller on the host speaks to the instance managers in the nodes.
package imclient

import (
	"time"

	"ha-iris/sandbox/internal/datapath/engine"
)

// Port is where an instance manager listens, as Longhorn's.
const Port = 8500

// States of a process and of a task, in Longhorn's words.
const (
	Starting = "starting"
	Running  = "running"
	Stopping = "stopping"
	Failed   = "error"
	Complete = "complete"
)

// Instances is all that an instance manager has.
type Instances struct {
	// Owner is the node's identity in names of loop devices.
	Owner    string    `json:"owner"`
	Replicas []Replica `json:"replicas"`
	// Engines stay until they are stopped, also when the volume is attached elsewhere by now.
	Engines []Engine `json:"engines"`
}

// Replica is a replica's process.
type Replica struct {
	Name      string `json:"name"`
	Directory string `json:"directory"`
	Port      int    `json:"port"`
	Size      int64  `json:"size"`
	// Opened: an engine or a clone has opened it. No other one can until the process was stopped and started.
	Opened bool `json:"opened"`
	// Rebuilding: it lacks data.
	Rebuilding bool       `json:"rebuilding"`
	Snapshots  []Snapshot `json:"snapshots"`
	// Allocated is how many bytes its files take on the disk.
	Allocated int64 `json:"allocated"`
}

// Snapshot is one of a replica.
type Snapshot struct {
	Name    string    `json:"name"`
	Size    int64     `json:"size"`
	Created time.Time `json:"created"`
	// Allocated is how many bytes its file takes on the disk.
	Allocated int64 `json:"allocated"`
}

// Engine is an engine's process.
type Engine struct {
	Name string `json:"name"`
	// UUID is another one for each process.
	UUID   string `json:"uuid"`
	Volume string `json:"volume"`
	Size   int64  `json:"size"`
	// State is Starting, Running, Stopping or Failed. One that has lost its last replica has failed; its device gives I/O errors.
	State string `json:"state"`
	Error string `json:"error,omitempty"`
	// Endpoint is the device on the node while it runs.
	Endpoint string                 `json:"endpoint,omitempty"`
	Replicas []engine.ReplicaStatus `json:"replicas"`
}

// StartReplica asks for a replica's process. Its files are made if there are none; those that are there are taken as they are,
// with their size.
type StartReplica struct {
	Name string `json:"name"`
	// Directory is the disk's, as in Longhorn's node object.
	Directory string `json:"directory"`
	Size      int64  `json:"size"`
}

// StartEngine asks for an engine and its device.
type StartEngine struct {
	Name   string `json:"name"`
	Volume string `json:"volume"`
	Size   int64  `json:"size"`
	// Replicas are the addresses by name.
	Replicas map[string]string `json:"replicas"`
	// ReplicaTimeout is engine-replica-timeout.
	ReplicaTimeout time.Duration `json:"replicaTimeout"`
}

// AddReplica asks an engine to take in a replica that lacks data.
type AddReplica struct {
	Name    string `json:"name"`
	Address string `json:"address"`
	// BytesPerSecond bounds the copying; 0 does not.
	BytesPerSecond int64 `json:"bytesPerSecond"`
}

// Backup asks for a backup of a replica's snapshot.
type Backup struct {
	Name     string            `json:"name"`
	Volume   string            `json:"volume"`
	Snapshot string            `json:"snapshot"`
	Bucket   string            `json:"bucket"`
	Labels   map[string]string `json:"labels,omitempty"`
	// Full: also blocks that the bucket has are uploaded.
	Full bool `json:"full,omitempty"`
}

// Restore asks for a backup's content in a replica that no engine has open.
type Restore struct {
	Name   string `json:"name"`
	Volume string `json:"volume"`
	Bucket string `json:"bucket"`
}

// Clone asks for another volume's snapshot in a replica that no engine has open.
type Clone struct {
	Snapshot string `json:"snapshot"`
	// Address is that of a replica that has the snapshot, here or on another node. Its engine goes on.
	Address string `json:"address"`
	// ReplicaTimeout is engine-replica-timeout.
	ReplicaTimeout time.Duration `json:"replicaTimeout"`
}

// Task is something that takes its time. It is kept until the instance manager ends, so that asking twice starts it once.
type Task struct {
	ID string `json:"id"`
	// State is Running, Complete or Failed.
	State string `json:"state"`
	Error string `json:"error,omitempty"`
	// Progress is in percent, of backups, restores and clones.
	Progress int `json:"progress"`
}

// Disk is a disk of the node.
type Disk struct {
	// UUID is that of longhorn-disk.cfg.
	UUID      string `json:"uuid"`
	Total     int64  `json:"total"`
	Available int64  `json:"available"`
	// Replicas are the names of all replica directories, whoever knows of them.
	Replicas []string `json:"replicas"`
}
