// Fakecloudcli stands in for the command line tools that a kubeconfig names as its credential plugin: "aws eks
// get-token" and "gke-gcloud-auth-plugin". Which of the two it is, it learns from the name it is called by; what it
// answers, from a file named by an environment variable (package wire).
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ha-iris/test/standin/internal/wire"
)

// Exit codes of the AWS CLI v2 ("AWS CLI return codes"): a malformed command and missing credentials. Google's plugin
// has only 1.
const (
	exitUsage       = 252
	exitCredentials = 253
	exitFailure     = 1
)

// defaultAPI is what both tools answer with when nobody asks for another version.
const defaultAPI = "client.authentication.k8s.io/v1beta1"

// failure is an error with the exit code of the tool it comes from.
type failure struct {
	code    int
	message string
}

func (f *failure) Error() string { return f.message }

func main() {
	err := run(filepath.Base(os.Args[0]), os.Args[1:])
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, err)
	if f, ok := err.(*failure); ok { //nolint:errorlint // run wraps nothing.
		os.Exit(f.code)
	}
	os.Exit(exitFailure)
}

func run(tool string, args []string) error {
	ticket, err := readTicket()
	if err != nil {
		return err
	}
	if err := record(ticket, tool, args); err != nil {
		return err
	}
	switch tool {
	case wire.AWS:
		if err := checkAWS(args); err != nil {
			return err
		}
	case wire.GKE:
		if err := checkGKE(args); err != nil {
			return err
		}
	default:
		return fmt.Errorf("installed as %q, want %q or %q", tool, wire.AWS, wire.GKE)
	}
	return answer(tool, ticket)
}

func readTicket() (*wire.Ticket, error) {
	path := os.Getenv(wire.Env)
	if path == "" {
		return nil, fmt.Errorf("%s is not set: this is a test's stand-in, not the vendor's tool", wire.Env)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read ticket: %w", err)
	}
	var ticket wire.Ticket
	if err := json.Unmarshal(content, &ticket); err != nil {
		return nil, fmt.Errorf("read ticket %s: %w", path, err)
	}
	return &ticket, nil
}

// record appends the call to the log. One short write to a file opened for appending is atomic among processes.
func record(ticket *wire.Ticket, tool string, args []string) (err error) {
	line, err := json.Marshal(wire.Call{Time: time.Now(), Tool: tool, Args: args, Refused: ticket.Refusal != ""})
	if err != nil {
		return fmt.Errorf("record call: %w", err)
	}
	log, err := os.OpenFile(ticket.Log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("record call: %w", err)
	}
	defer func() {
		if closeErr := log.Close(); err == nil && closeErr != nil {
			err = fmt.Errorf("record call: %w", closeErr)
		}
	}()
	if _, err := log.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("record call: %w", err)
	}
	return nil
}

// checkAWS accepts what "aws eks get-token" accepts: options with values, before or after the two words.
func checkAWS(args []string) error {
	valued := []string{"--region", "--profile", "--output", "--cluster-name", "--cluster-id", "--role-arn", "--endpoint-url"}
	var words []string
	given := map[string]string{}
	for i := 0; i < len(args); i++ {
		name, value, inline := strings.Cut(args[i], "=")
		switch {
		case !strings.HasPrefix(args[i], "--"):
			words = append(words, args[i])
		case !slices.Contains(valued, name):
			return &failure{exitUsage, "Unknown options: " + args[i]}
		case inline:
			given[name] = value
		case i+1 < len(args):
			i++
			given[name] = args[i]
		default:
			return &failure{exitUsage, "aws: error: argument " + name + ": expected one argument"}
		}
	}
	if !slices.Equal(words, []string{"eks", "get-token"}) {
		return &failure{exitUsage, fmt.Sprintf("aws: error: argument operation: Invalid choice: %q", strings.Join(words, " "))}
	}
	if given["--cluster-name"] == "" && given["--cluster-id"] == "" {
		return &failure{exitUsage, "Either parameter --cluster-name or --cluster-id must be specified."}
	}
	return nil
}

// checkGKE accepts the options of gke-gcloud-auth-plugin, in which one dash is as good as two.
func checkGKE(args []string) error {
	for _, arg := range args {
		name, _, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		known := []string{"use_application_default_credentials", "impersonate_service_account", "use_edge_cloud"}
		if !strings.HasPrefix(arg, "-") || !slices.Contains(known, name) {
			return &failure{exitFailure, "unknown flag: " + arg}
		}
	}
	return nil
}

type execCredential struct {
	Kind       string         `json:"kind"`
	APIVersion string         `json:"apiVersion"`
	Spec       map[string]any `json:"spec"`
	Status     execStatus     `json:"status"`
}

type execStatus struct {
	Expiration  string `json:"expirationTimestamp"`
	Token       string `json:"token,omitempty"`
	Certificate string `json:"clientCertificateData,omitempty"`
	Key         string `json:"clientKeyData,omitempty"`
}

func answer(tool string, ticket *wire.Ticket) error {
	if ticket.Refusal != "" {
		code := exitFailure
		if tool == wire.AWS {
			code = exitCredentials
		}
		return &failure{code, ticket.Refusal}
	}
	credential := execCredential{
		Kind: "ExecCredential", APIVersion: askedVersion(), Spec: map[string]any{},
		Status: execStatus{
			Expiration: time.Now().Add(ticket.Lifetime).UTC().Format(time.RFC3339),
			Token:      ticket.Token, Certificate: ticket.Certificate, Key: ticket.Key,
		},
	}
	if err := json.NewEncoder(os.Stdout).Encode(credential); err != nil {
		return fmt.Errorf("write answer: %w", err)
	}
	return nil
}

// askedVersion is the API version that the caller put into KUBERNETES_EXEC_INFO; a caller refuses any other.
func askedVersion() string {
	var info struct {
		APIVersion string `json:"apiVersion"`
	}
	if err := json.Unmarshal([]byte(os.Getenv("KUBERNETES_EXEC_INFO")), &info); err != nil || info.APIVersion == "" {
		return defaultAPI
	}
	return info.APIVersion
}
