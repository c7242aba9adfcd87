package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

const (
	// results is the ConfigMap in which `agent verify` notes what it has found of each backup (agent/internal/kube, Verifies), and verifyLabel
	// is how it is known.
	results      = "iris-verify"
	verifyLabel  = "ha-iris/verify"
	verifyOfKind = "results"
	// verdictGood and verdictBad are its words (agent/internal/verify, Verdict).
	verdictGood = "good"
	verdictBad  = "bad"
)

// verified is what was found of a backup.
type verified struct {
	Verdict string    `json:"verdict"`
	At      time.Time `json:"at"`
	Message string    `json:"message"`
}

// word is what a table shows.
func (v *verified) word() string {
	switch {
	case v == nil:
		return "-"
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
	for name, text := range noted.Data {
		one := &verified{}
		if err := json.Unmarshal([]byte(text), one); err != nil {
			one.Message = "the ConfigMap " + results + " has something else of it"
		}
		all[name] = one
	}
	return all, nil
}
