package storage

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"
)

// Helm's statuses of a revision (helm pkg/release/status.go).
const (
	statusDeployed        = "deployed"
	statusSuperseded      = "superseded"
	statusFailed          = "failed"
	statusUninstalling    = "uninstalling"
	statusPendingInstall  = "pending-install"
	statusPendingUpgrade  = "pending-upgrade"
	statusPendingRollback = "pending-rollback"
)

const (
	secretsPath = "/api/v1/namespaces/" + namespaceName + "/secrets"
	recordsPath = secretsPath + "?labelSelector=owner%3Dhelm%2Cname%3D" + releaseName
	// forgetCommand deletes Helm's records of the release, but none of the release's objects.
	forgetCommand = "kubectl -n " + namespaceName + " delete secret -l owner=helm,name=" + releaseName
	// maxRecord bounds an unpacked record: packed it fits into an object of 1.5 MiB, and charts compress to about a tenth.
	maxRecord = 64 << 20
)

// record is one revision of the release, which Helm stores in a Secret.
type record struct {
	name, uid, status string
	revision          int
	// touched is when Helm wrote the record last, to the second.
	touched time.Time
	// owner is the stack in the record's values; empty for a release that was not installed by this program, or by its first
	// version.
	owner string
	// chart is the version of the chart.
	chart string
}

// pending reports whether the record has a pending status, which it also keeps after Helm was killed.
func (r record) pending() bool {
	return slices.Contains([]string{statusPendingInstall, statusPendingUpgrade, statusPendingRollback}, r.status)
}

// complete reports whether the revision was deployed at some time.
func (r record) complete() bool { return r.status == statusDeployed || r.status == statusSuperseded }

// label is the record's name in messages.
func (r record) label() string { return fmt.Sprintf("revision %d (%s)", r.revision, r.status) }

// records returns the release's revisions, oldest first.
func (k *keeper) records(ctx context.Context) ([]record, error) {
	var list struct {
		Items []struct {
			Metadata struct {
				Name              string            `json:"name"`
				UID               string            `json:"uid"`
				Labels            map[string]string `json:"labels"`
				CreationTimestamp time.Time         `json:"creationTimestamp"`
			} `json:"metadata"`
			Data map[string][]byte `json:"data"`
		} `json:"items"`
	}
	if _, err := k.live.Get(ctx, recordsPath, &list); err != nil {
		return nil, fmt.Errorf("list Helm's records of %s: %w", releaseName, err)
	}
	found := make([]record, 0, len(list.Items))
	for _, item := range list.Items {
		labels := item.Metadata.Labels
		r := record{name: item.Metadata.Name, uid: item.Metadata.UID, status: labels["status"], touched: item.Metadata.CreationTimestamp}
		var err error
		if r.revision, err = strconv.Atoi(labels["version"]); err != nil {
			return nil, fmt.Errorf("record of Helm %s: its label version is %q, not a number", r.name, labels["version"])
		}
		if seconds, err := strconv.ParseInt(labels["modifiedAt"], 10, 64); err == nil {
			r.touched = time.Unix(seconds, 0)
		}
		if err := r.unpack(item.Data["release"]); err != nil {
			return nil, fmt.Errorf("record of Helm %s: %w", r.name, err)
		}
		found = append(found, r)
	}
	slices.SortFunc(found, func(a, b record) int { return a.revision - b.revision })
	return found, nil
}

// unpack reads what is not in the labels. The Secret's base64 is decoded already; Helm's gzip has a second base64 around it.
func (r *record) unpack(packed []byte) error {
	zipped, err := base64.StdEncoding.DecodeString(string(packed))
	if err != nil {
		return fmt.Errorf("not the base64 that Helm writes: %w", err)
	}
	unzipped, err := gzip.NewReader(bytes.NewReader(zipped))
	if err != nil {
		return fmt.Errorf("not the gzip that Helm writes: %w", err)
	}
	content, err := io.ReadAll(io.LimitReader(unzipped, maxRecord))
	if err != nil {
		return fmt.Errorf("not the gzip that Helm writes: %w", err)
	}
	var release struct {
		Config struct {
			HaIris struct {
				Stack string `json:"stack"`
			} `json:"haIris"`
		} `json:"config"`
		Chart struct {
			Metadata struct {
				Version string `json:"version"`
			} `json:"metadata"`
		} `json:"chart"`
	}
	if err := json.Unmarshal(content, &release); err != nil {
		return fmt.Errorf("not the JSON that Helm writes: %w", err)
	}
	r.owner, r.chart = release.Config.HaIris.Stack, release.Chart.Metadata.Version
	return nil
}

// forget deletes records. The objects of the revisions stay, and the next install or upgrade takes them over, because they
// carry the release's name (helm pkg/action/validate.go).
func (k *keeper) forget(ctx context.Context, records []record) error {
	for _, r := range records {
		if err := k.live.Delete(ctx, secretsPath+"/"+r.name, r.uid); err != nil {
			return fmt.Errorf("delete Helm's record %s: %w", r.name, err)
		}
	}
	return nil
}
