// Package timeline makes of what the API server says, object by object, the steps of a failover, and says how long each took and
// whose it was. It has no clock and no network.
package timeline

import "time"

// Mark is a step that can be seen from outside.
type Mark string

// The marks, in the order in which they usually come.
const (
	Fault        Mark = "fault"
	Cordoned     Mark = "cordoned"
	LastWrite    Mark = "last acknowledged write"
	NotReady     Mark = "node not ready"
	Tainted      Mark = "node tainted"
	TakeOver     Mark = "take-over recorded"
	OutOfService Mark = "out-of-service taint"
	Unready      Mark = "pod not ready"
	PodDeleted   Mark = "pod deleted"
	Detached     Mark = "volume detached"
	PodGone      Mark = "pod gone"
	PodCreated   Mark = "new pod created"
	Scheduled    Mark = "scheduled"
	Attached     Mark = "volume attached"
	Started      Mark = "container started"
	Ready        Mark = "pod ready"
	Endpoint     Mark = "endpoint ready"
	FirstWrite   Mark = "first acknowledged write"
	Undone       Mark = "fault undone"
	NodeReady    Mark = "node ready"
	GivenBack    Mark = "take-over given back"
	Healthy      Mark = "volume healthy"
	Degraded     Mark = "volume not healthy"
	AttachError  Mark = "attachment refused"
	Message      Mark = "event"
)

// Event is one mark of one object.
type Event struct {
	At     time.Time `json:"at"`
	Mark   Mark      `json:"mark"`
	Object string    `json:"object,omitempty"`
	UID    string    `json:"uid,omitempty"`
	Node   string    `json:"node,omitempty"`
	Detail string    `json:"detail,omitempty"`
}

// Owner is whose time a phase is.
type Owner string

// The owners.
const (
	Kubernetes Owner = "Kubernetes"
	Guard      Owner = "guard"
	Longhorn   Owner = "Longhorn"
	IRIS       Owner = "IRIS"
	Drill      Owner = "drill"
)

// Phase is the time from one mark to the next.
type Phase struct {
	From    Mark    `json:"from"`
	To      Mark    `json:"to"`
	Begins  float64 `json:"begins"` // Seconds after the fault.
	Seconds float64 `json:"seconds"`
	Owner   Owner   `json:"owner"`
	Detail  string  `json:"detail,omitempty"`
}
