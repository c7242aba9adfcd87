package iris

import (
	"fmt"
	"strconv"
	"strings"

	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// Whoever may make pods may make one that reads every Secret of the namespace, mounts the database's claim or, where the namespace's own standard does
// not forbid it, is root on the node, unless a policy looks at it. So the copy's pod has to begin as its PodTemplate has it; what runs in it
// afterwards is whatever the account executes there (docs/security.md). The template itself cannot be the policy's parameter: once it is deleted, with
// the stack, the agent could not delete its copy.

// copyRuns is what holds for the copy's pod: that it has these containers and no others, with what they run, and nothing of the node's. Variables may
// be added: some clusters give every pod the API server's address or a proxy's.
func (c Config) copyRuns() []string {
	pod := c.copyPod()
	conditions := []string{
		`object.spec.?automountServiceAccountToken.orValue(true) == false`, `object.spec.?serviceAccountName.orValue("default") in ["", "default"]`,
		`object.spec.?nodeName.orValue("") == ""`, `!object.spec.?priorityClassName.orValue("").startsWith("system-")`,
		`!object.spec.?hostNetwork.orValue(false)`, `!object.spec.?hostPID.orValue(false)`, `!object.spec.?hostIPC.orValue(false)`,
	}
	for _, kind := range []struct {
		field string
		all   corev1.ContainerArrayInput
	}{{"containers", pod.Containers}, {"initContainers", pod.InitContainers}} {
		containers, _ := kind.all.(corev1.ContainerArray)
		conditions = append(conditions, fmt.Sprintf("object.spec.%s.size() == %d", kind.field, len(containers)))
		for i, one := range containers {
			if container, ok := one.(*corev1.ContainerArgs); ok {
				conditions = append(conditions, containerRuns(fmt.Sprintf("object.spec.%s[%d]", kind.field, i), container)...)
			}
		}
	}
	return conditions
}

// containerRuns is what holds for one container.
func containerRuns(of string, want *corev1.ContainerArgs) []string {
	conditions := []string{
		fmt.Sprintf("%s.name == %s", of, literal(want.Name)), fmt.Sprintf("%s.image == %s", of, literal(want.Image)),
		fmt.Sprintf("%s.?command.orValue([]) == %s", of, literals(want.Command)), fmt.Sprintf("%s.?args.orValue([]) == %s", of, literals(want.Args)),
		fmt.Sprintf("!has(%[1]s.lifecycle) && !has(%[1]s.envFrom) && !has(%[1]s.ports) && !has(%[1]s.volumeDevices)", of),
		fmt.Sprintf("%[1]s.?securityContext.?allowPrivilegeEscalation.orValue(true) == false && !%[1]s.?securityContext.?privileged.orValue(false) && "+
			"%[1]s.?securityContext.?capabilities.?add.orValue([]) == []", of),
	}
	for _, probe := range []struct {
		field string
		want  corev1.ProbePtrInput
	}{{"startupProbe", want.StartupProbe}, {"readinessProbe", want.ReadinessProbe}, {"livenessProbe", want.LivenessProbe}} {
		none := fmt.Sprintf("!has(%s.%s)", of, probe.field)
		if args, _ := probe.want.(*corev1.ProbeArgs); args != nil {
			if exec, _ := args.Exec.(*corev1.ExecActionArgs); exec != nil {
				none = fmt.Sprintf("%s.?%s.?exec.?command.orValue([]) == %s", of, probe.field, literals(exec.Command))
			}
		}
		conditions = append(conditions, none)
	}
	var mounts []string
	mounted, _ := want.VolumeMounts.(corev1.VolumeMountArray)
	for _, one := range mounted {
		if mount, ok := one.(*corev1.VolumeMountArgs); ok {
			mounts = append(mounts, strconv.Quote(knownText(mount.Name)+":"+knownText(mount.MountPath)))
		}
	}
	return append(
		conditions,
		fmt.Sprintf(`%s.?volumeMounts.orValue([]).all(m, m.name + ":" + m.mountPath in [%s] && !has(m.subPath) && !has(m.subPathExpr))`, of, strings.Join(mounts, ", ")),
		fmt.Sprintf(`%s.?env.orValue([]).all(e, !has(e.valueFrom))`, of),
	)
}

// copyMounts is what holds for the volumes: each is the one of its name in the template.
func (c Config) copyMounts() string {
	known := []string{
		fmt.Sprintf("v.name == %q && v.?persistentVolumeClaim.?claimName.orValue(\"\") == %q", volumeData, copyName),
		fmt.Sprintf("v.name == %q && has(v.emptyDir)", volumeMerge),
		fmt.Sprintf("v.name == %q && v.?configMap.?name.orValue(\"\") == %q", volumeSettings, mergeName),
		fmt.Sprintf("v.name == %q && v.?secret.?secretName.orValue(\"\") == %q", volumeCredentials, credentialsName),
	}
	if c.LicenseKey.IsSet() {
		known = append(known, fmt.Sprintf("v.name == %q && v.?secret.?secretName.orValue(\"\") == %q", volumeLicense, licenseName))
	}
	return "object.spec.?volumes.orValue([]).all(v, (" + strings.Join(known, ") || (") + "))"
}

// knownText is a text that is known when the program runs; empty for any other, which no pod has then.
func knownText(input any) string {
	text, _ := input.(pulumi.String)
	return string(text)
}

// literal and literals are texts in the expression language, whose escapes are Go's.
func literal(input any) string { return strconv.Quote(knownText(input)) }

func literals(input pulumi.StringArrayInput) string {
	texts, _ := input.(pulumi.StringArray)
	quoted := make([]string, 0, len(texts))
	for _, one := range texts {
		quoted = append(quoted, literal(one))
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}
