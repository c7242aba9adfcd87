package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"ha-iris/internal/claims"
	"ha-iris/internal/live"
)

const (
	longhornPath = "/apis/longhorn.io/v1beta2/namespaces/longhorn-system/"
	deployment   = "iris"
	// jobLabel of a backup is the recurring job that made it (longhorn-manager types/types.go).
	jobLabel = "RecurringJob"
	// kindLabel of a backup says that ha-iris made it apart from the recurring job, and how.
	kindLabel = "ha-iris/backup"
	onDemand  = "on-demand"
	// byHandLabel of one for which IRIS was frozen says that somebody has asked for it (agent/internal/kube, backups.go).
	byHandLabel = "ha-iris/by-hand"
)

// database is one that runs on a cluster.
type database struct {
	cluster   *live.Cluster
	namespace string
	pause     func(context.Context, time.Duration) error
}

// volume is what the database's pod mounts.
type volume struct {
	// claim is the PVC's name, name the volume's.
	claim, name string
	// size is what the PVC asks for.
	size string
}

type metadata struct {
	Name              string            `json:"name"`
	UID               string            `json:"uid,omitempty"`
	Namespace         string            `json:"namespace,omitempty"`
	Labels            map[string]string `json:"labels,omitempty"`
	CreationTimestamp time.Time         `json:"creationTimestamp,omitzero"`
}

// volume finds the volume by the Deployment.
func (d *database) volume(ctx context.Context) (volume, error) {
	mounted, found, err := claims.Mounted(ctx, d.cluster, d.namespace, deployment)
	switch {
	case err != nil:
		return volume{}, err
	case !found:
		return volume{}, fmt.Errorf("namespace %s has no Deployment %s: --namespace is the database's", d.namespace, deployment)
	case len(mounted) == 0:
		return volume{}, fmt.Errorf("the Deployment %s in namespace %s mounts no PVC", deployment, d.namespace)
	}
	return d.claimed(ctx, mounted[0])
}

func (d *database) claimed(ctx context.Context, name string) (volume, error) {
	var claim struct {
		Spec struct {
			Volume    string `json:"volumeName"`
			Resources struct {
				Requests map[string]string `json:"requests"`
			} `json:"resources"`
		} `json:"spec"`
	}
	found, err := d.cluster.Get(ctx, "/api/v1/namespaces/"+d.namespace+"/persistentvolumeclaims/"+name, &claim)
	switch {
	case err != nil:
		return volume{}, fmt.Errorf("look up PVC %s: %w", name, err)
	case !found || claim.Spec.Volume == "":
		return volume{}, fmt.Errorf("PVC %s in namespace %s has no volume yet", name, d.namespace)
	}
	return volume{claim: name, name: claim.Spec.Volume, size: claim.Spec.Resources.Requests["storage"]}, nil
}

// backup is Longhorn's object, as far as it is read.
type backup struct {
	Metadata metadata `json:"metadata"`
	Spec     struct {
		Labels map[string]string `json:"labels"`
	} `json:"spec"`
	Status struct {
		State           string            `json:"state"`
		Progress        int               `json:"progress"`
		Error           string            `json:"error"`
		URL             string            `json:"url"`
		SnapshotCreated string            `json:"snapshotCreatedAt"`
		Size            string            `json:"size"`
		Volume          string            `json:"volumeName"`
		VolumeSize      string            `json:"volumeSize"`
		Labels          map[string]string `json:"labels"`
	} `json:"status"`
}

const (
	completed = "Completed"
	// scheduled is the kind of those that Longhorn's own schedule makes.
	scheduled = "scheduled"
)

// when is what the backup is of: the moment of its snapshot, or of its object while there is none.
func (b backup) when() time.Time {
	if at, err := time.Parse(time.RFC3339, b.Status.SnapshotCreated); err == nil {
		return at
	}
	return b.Metadata.CreationTimestamp
}

// volume is the volume's name, which a backup has as a label before its status says so.
func (b backup) volume() string { return cmp.Or(b.Status.Volume, b.Metadata.Labels["backup-volume"]) }

// kind is how the backup came about.
func (b backup) kind() string {
	for _, labels := range []map[string]string{b.Metadata.Labels, b.Spec.Labels, b.Status.Labels} {
		switch {
		case labels[kindLabel] != "":
			return labels[kindLabel]
		case labels[jobLabel] != "":
			return scheduled
		}
	}
	return "by hand"
}

// byHand says that no schedule has made the backup.
func (b backup) byHand() bool {
	kind := b.kind()
	for _, labels := range []map[string]string{b.Metadata.Labels, b.Spec.Labels, b.Status.Labels} {
		if labels[byHandLabel] == "true" {
			return true
		}
	}
	return kind != consistent && kind != scheduled
}

// backups are those of a volume, or of all for "", the newest first.
func (d *database) backups(ctx context.Context, volume string) ([]backup, error) {
	var all struct {
		Items []backup `json:"items"`
	}
	found, err := d.cluster.Get(ctx, longhornPath+"backups", &all)
	switch {
	case err != nil:
		return nil, fmt.Errorf("list backups: %w", err)
	case !found:
		return nil, fmt.Errorf("list backups: the cluster has no Longhorn, or one from before 1.5")
	}
	mine := slices.DeleteFunc(all.Items, func(one backup) bool { return volume != "" && one.volume() != volume })
	slices.SortStableFunc(mine, func(a, b backup) int { return b.when().Compare(a.when()) })
	return mine, nil
}

// find returns the backup with a name or a URL; without either, the newest of the database's volume that can be used.
func (d *database) find(ctx context.Context, mounted volume, from string) (backup, error) {
	scope := ""
	if from == "" {
		scope = mounted.name
	}
	all, err := d.backups(ctx, scope)
	if err != nil {
		return backup{}, err
	}
	for _, one := range all {
		named := from != "" && (one.Metadata.Name == from || one.Status.URL == from)
		switch {
		case named && one.Status.State != completed:
			return backup{}, fmt.Errorf("%w: %s is %s, not %s %s", errFailed, one.Metadata.Name, state(one), completed, hidden(one.Status.Error))
		case named || from == "" && one.Status.State == completed:
			return one, nil
		}
	}
	if from == "" {
		return backup{}, fmt.Errorf("%w of volume %s can be used: there are %d, and none is %s", errFailed, mounted.name, len(all), completed)
	}
	return backup{}, fmt.Errorf("%w is called %s: go run ./ops/backup list --all has those that Longhorn sees at its target", errFailed, from)
}

// state is Longhorn's word, with how far it is.
func state(one backup) string {
	switch one.Status.State {
	case "":
		return "new"
	case "InProgress":
		return fmt.Sprintf("InProgress %d %%", one.Status.Progress)
	default:
		return strings.TrimSpace(one.Status.State)
	}
}
