package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"
)

const (
	// results is the ConfigMap in which `agent verify` notes what it has found of each backup (agent/internal/kube, Verifies), and verifyLabel
	// is how it is known.
	results      = "iris-verify"
	verifyLabel  = "ha-iris/verify"
	verifyOfKind = "results"
	// ownerMark is the annotation, and in the ConfigMap the label, with the stack's number.
	ownerMark = "ha-iris/owner"
	// verdictGood and verdictBad are its words (agent/internal/verify, Verdict).
	verdictGood = "good"
	verdictBad  = "bad"
)

// verified is what was found of a backup.
type verified struct {
	Verdict string    `json:"verdict"`
	At      time.Time `json:"at"`
	Message string    `json:"message"`
	// Unmarked is why no row of an earlier run was looked for; empty when one was.
	Unmarked string `json:"unmarked,omitempty"`
}

// lastVerified is the newest of what was found, whether its backup is there still or not.
type lastVerified struct {
	// Name is the backup's.
	Name string `json:"name"`
	verified
}

// newestOf returns nil when nothing was found yet.
func newestOf(noted map[string]*verified) *lastVerified {
	var last *lastVerified
	for _, name := range slices.Sorted(maps.Keys(noted)) {
		if one := noted[name]; last == nil || one.At.After(last.At) {
			last = &lastVerified{name, *one}
		}
	}
	return last
}

// say tells of the last one, when its backup is not in the table: it is gone, or of another volume.
func (l *lastVerified) say(out io.Writer, entries []entry) error {
	if l == nil || slices.ContainsFunc(entries, func(one entry) bool { return one.Name == l.Name }) {
		return nil
	}
	_, err := fmt.Fprintf(out, "The last verification was of %s, which is not listed, at %s: %s: %s\n", l.Name, l.At.UTC().Format("2006-01-02 15:04:05"), l.word(), l.Message)
	return err
}

// word is what a table shows.
func (v *verified) word() string {
	switch {
	case v == nil:
		return "-"
	case v.Verdict == verdictGood && v.Unmarked != "": // It starts and is whole, and need not be this database's last state.
		return "yes, no row"
	case v.Verdict == verdictGood:
		return "yes"
	case v.Verdict == verdictBad:
		return "NO"
	default:
		return "unclear"
	}
}

// verifications are what was found of each backup, by its name; nothing where none is verified.
func (d *database) verifications(ctx context.Context) (map[string]*verified, error) {
	var noted struct {
		Metadata metadata          `json:"metadata"`
		Data     map[string]string `json:"data"`
	}
	found, err := d.cluster.Get(ctx, "/api/v1/namespaces/"+d.namespace+"/configmaps/"+results, &noted)
	if err != nil {
		return nil, fmt.Errorf("look up ConfigMap %s: %w", results, err)
	}
	all := map[string]*verified{}
	if !found || noted.Metadata.Labels[verifyLabel] != verifyOfKind { // One of somebody else's says nothing.
		return all, nil
	}
	var running struct {
		Metadata struct {
			Annotations map[string]string `json:"annotations"`
		} `json:"metadata"`
	}
	if _, err := d.cluster.Get(ctx, "/apis/apps/v1/namespaces/"+d.namespace+"/deployments/"+deployment, &running); err != nil {
		return nil, fmt.Errorf("look up Deployment %s: %w", deployment, err)
	}
	// The database's stack writes its number on all that it makes (internal/owner). One of an earlier stack has other backups.
	if number := running.Metadata.Annotations[ownerMark]; number != "" && noted.Metadata.Labels[ownerMark] != number {
		return nil, fmt.Errorf("ConfigMap %s is of another stack; if nobody needs it: kubectl -n %s delete configmap %s", results, d.namespace, results)
	}
	for name, text := range noted.Data {
		one := &verified{}
		if err := json.Unmarshal([]byte(text), one); err != nil {
			one.Message = "the ConfigMap " + results + " has something else of it"
		}
		all[name] = one
	}
	return all, nil
}
