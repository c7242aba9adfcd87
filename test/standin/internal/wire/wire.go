// Package wire is what the stand-in clouds and the stand-ins for the vendors' command line tools agree on.
package wire

import "time"

// Env names the environment variable that holds the path of the ticket.
const Env = "HA_IRIS_STANDIN_TICKET"

// The names under which the one program is installed.
const (
	AWS = "aws"
	GKE = "gke-gcloud-auth-plugin"
)

// Ticket is the file from which the tools learn what to answer. Whoever can read it can read the credentials in it.
type Ticket struct {
	// Token, or the certificate and its key in PEM, is what the API server accepts.
	Token       string `json:"token,omitempty"`
	Certificate string `json:"certificate,omitempty"`
	Key         string `json:"key,omitempty"`
	// Lifetime is how long an answer is valid.
	Lifetime time.Duration `json:"lifetime"`
	// Refusal makes the tools fail with this message; empty: they do not.
	Refusal string `json:"refusal,omitempty"`
	// Log is the file to which every call is appended.
	Log string `json:"log"`
}

// Call is one line of the log, as JSON.
type Call struct {
	Time    time.Time `json:"time"`
	Tool    string    `json:"tool"`
	Args    []string  `json:"args"`
	Refused bool      `json:"refused,omitempty"`
}
