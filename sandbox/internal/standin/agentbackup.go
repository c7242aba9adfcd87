package standin

import (
	"context"
	"errors"
	"maps"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// On a simulated node there is no database to freeze. So of agent backup only what it asks Longhorn for is played: one snapshot, and its backup,
// with the marks by which the stack knows its own. Nothing is pruned.

// backupSubcommand makes one backup and ends.
const backupSubcommand = "backup"

// errWorking is that a step goes on.
var errWorking = errors.New("it is at work")

// backupFlags are those of the agent that makes a backup in the pod, or nil if none does.
func backupFlags(pod *corev1.Pod) map[string]string {
	for _, container := range pod.Spec.Containers {
		if !strings.HasPrefix(container.Image, agentImage) || len(container.Args) == 0 || container.Args[0] != backupSubcommand {
			continue
		}
		flags, last := map[string]string{}, ""
		for _, argument := range expand(container, pod)[1:] {
			name, isFlag := strings.CutPrefix(argument, "--")
			if !isFlag {
				flags[last] = argument
				continue
			}
			name, value, _ := strings.Cut(name, "=")
			flags[name], last = value, name
		}
		return flags
	}
	return nil
}

// makeBackup takes the next step of it. A volume that is detached has nothing to freeze, and the agent ends well then.
func (c *standIn) makeBackup(ctx context.Context, pod *corev1.Pod) error {
	flags := backupFlags(pod)
	namespace, name := flags["longhorn-namespace"], flags["namespace"]+"-consistent-"+checksum(string(pod.UID), 8)
	volume, err := c.volumeOfClaim(ctx, namespace, flags["namespace"], flags["claim"])
	if err != nil {
		return err
	}
	if volume == nil || textAt(volume, "status", "state") != attached {
		return c.endWith(0)(ctx, pod)
	}
	backup, err := c.longhorn.get(ctx, namespace, backupKind, name)
	if err != nil {
		return err
	}
	if backup != nil {
		switch textAt(backup, "status", "state") {
		case backupCompleted:
			return c.endWith(0)(ctx, pod)
		case backupError:
			return c.endWith(1)(ctx, pod)
		}
		return errWorking
	}
	snapshot, err := c.longhorn.get(ctx, namespace, snapshotKind, name)
	if err != nil {
		return err
	}
	marks := map[string]string{"ha-iris/backup": "consistent", "ha-iris/namespace": flags["namespace"], "ha-iris/owner": flags["owner"]}
	if !strings.HasPrefix(flags["job"], flags["cron-job"]+"-") {
		marks["ha-iris/by-hand"] = "true"
	}
	switch {
	case snapshot == nil:
		err = c.ask(ctx, snapshotKind, marks, newObject(namespace, snapshotKind, name), map[string]any{"volume": volume.GetName(), "createSnapshot": true})
	case textAt(snapshot, "status", "creationTime") != "":
		object := newObject(namespace, backupKind, name)
		label(object, backupVolumeLabel, volume.GetName())
		err = c.ask(ctx, backupKind, marks, object, map[string]any{"snapshotName": name})
	}
	if err != nil {
		return err
	}
	return errWorking
}

// ask creates an object of Longhorn's with the agent's marks, on it and in what is stored with it.
func (c *standIn) ask(ctx context.Context, plural string, marks map[string]string, object *unstructured.Unstructured, spec map[string]any) error {
	stored := map[string]any{}
	for name, value := range marks {
		stored[name] = value
	}
	spec["labels"] = stored
	object.Object["spec"] = spec
	labels := object.GetLabels()
	if labels == nil {
		labels = map[string]string{}
	}
	maps.Copy(labels, marks)
	object.SetLabels(labels)
	return c.longhorn.create(ctx, plural, object)
}

func (c *standIn) volumeOfClaim(ctx context.Context, longhorn, namespace, claim string) (*unstructured.Unstructured, error) {
	volumes, err := c.longhorn.list(ctx, longhorn, longhornVolumes)
	if err != nil {
		return nil, err
	}
	for i := range volumes {
		of := func(field string) string { return textAt(&volumes[i], "status", "kubernetesStatus", field) }
		if of("namespace") == namespace && of("pvcName") == claim {
			return &volumes[i], nil
		}
	}
	return nil, nil
}
