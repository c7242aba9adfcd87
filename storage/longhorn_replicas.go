package storage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"ha-iris/internal/guard"
)

// The number of replicas is a parameter of the class, which is read when a volume is created. An existing volume has its own number
// (spec.numberOfReplicas of volumes.longhorn.io), and Longhorn applies a change of it at any time. So the volume is changed first
// and the key after it: the class is then replaced, which changes no volume.

// checkReplicas refuses a number of replicas that differs from that of the volumes of the class.
func checkReplicas(ctx context.Context, args *Args, before, after guard.Inputs) error {
	was, wasKnown := before.Number("replicas")
	will, willKnown := after.Number("replicas")
	if !wasKnown || !willKnown || was == will {
		return nil
	}
	k := &keeper{live: args.Live, class: args.Config.ClassName}
	others, err := k.behind(ctx, int(will))
	if err == nil && len(others) == 0 {
		return nil
	}
	reason := "as the volume has it"
	if err != nil {
		reason = fmt.Sprintf("with which the volume was made, and whether it has another number by now is not known (%v)", err)
	}
	return fmt.Errorf("storage.replicas: got %d, want %d, %s: the key is for new volumes and changes none that is there. Change the "+
		"volume first: %s. When it has %d, this key can follow. Or set it back: pulumi config set --path storage.replicas %d",
		int(will), int(was), reason, k.changeCommands(others, int(will)), int(will), int(was))
}

// behind returns the volumes of the class that have another number of replicas, or an error when the cluster cannot be asked.
func (k *keeper) behind(ctx context.Context, count int) ([]volume, error) {
	if !k.asks() {
		return nil, errors.New("the cluster cannot be asked yet")
	}
	volumes, err := k.volumes(ctx)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(volumes, func(v volume) bool { return !k.isOwn(v.class) || v.replicas == count }), nil
}

// isOwn reports whether a class is one of the stack's, of any generation.
func (k *keeper) isOwn(class string) bool {
	number, later := strings.CutPrefix(class, k.class+"-")
	if later {
		_, err := strconv.Atoi(number)
		later = err == nil
	}
	return class == k.class || later
}

// changeCommands returns commands that change the number of replicas of the volumes, or, when they are too many or not known, of
// all volumes of the class.
func (k *keeper) changeCommands(volumes []volume, count int) string {
	if len(volumes) == 0 || len(volumes) > maxNamed {
		all := fmt.Sprintf(`$(kubectl get persistentvolumes -o jsonpath='{.items[?(@.spec.storageClassName=="%s")].spec.csi.volumeHandle}')`, k.class)
		return changeCommand(all, count)
	}
	commands := make([]string, 0, len(volumes))
	for _, v := range volumes {
		commands = append(commands, changeCommand(v.name, count))
	}
	return strings.Join(commands, "; ")
}

func changeCommand(name string, count int) string {
	return fmt.Sprintf(`kubectl -n %s patch volumes.longhorn.io %s --type merge -p '{"spec":{"numberOfReplicas":%d}}'`,
		namespaceName, name, count)
}

// warnOfReplicas warns that a changed number of replicas applies to new volumes only, and how to change existing ones. checkReplicas
// does not run when nothing is protected, or when the state is from before the number was recorded.
func (k *keeper) warnOfReplicas(ctx context.Context, before, after guard.Inputs) {
	was, wasKnown := replicasOf(before)
	will, willKnown := replicasOf(after)
	if !wasKnown || !willKnown || was == will {
		return
	}
	others, err := k.behind(ctx, int(will))
	if err == nil && len(others) == 0 {
		return // The volumes were changed first.
	}
	warning := fmt.Sprintf("storage.replicas: %d instead of %d is for new volumes; those that are there keep their replicas.", int(will), int(was))
	switch {
	case err != nil || len(others) > maxNamed:
		warning += " To change one: " + changeCommand("NAME", int(will))
	default:
		for _, v := range others {
			warning += " To change that of " + v.claim + ": " + changeCommand(v.name, int(will))
		}
	}
	k.log.warn(warning)
}

// replicasOf returns the number of replicas in a release's values, also in values from before they contained the class.
func replicasOf(inputs guard.Inputs) (float64, bool) {
	if count, found := inputs.Number("values", ownerKey, "class", "replicas"); found {
		return count, true
	}
	return inputs.Number("values", "defaultSettings", "defaultReplicaCount")
}
