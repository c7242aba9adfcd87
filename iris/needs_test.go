package iris

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"ha-iris/internal/survey"
)

// sample reads a pod of Needs as the API server would.
func sample(t *testing.T, pod map[string]any) corev1.Pod {
	t.Helper()
	content, err := json.Marshal(pod)
	if err != nil {
		t.Fatal(err)
	}
	var read corev1.Pod
	if err := yaml.UnmarshalStrict(content, &read); err != nil {
		t.Fatalf("not what the API server knows: %v\n%s", err, content)
	}
	return read
}

// bareTemplate takes away what refers to other objects.
func bareTemplate(template corev1.PodTemplateSpec) corev1.PodSpec {
	spec := template.Spec
	spec.Volumes, spec.PriorityClassName, spec.ImagePullSecrets, spec.ServiceAccountName = nil, "", nil, ""
	return spec
}

// A policy must judge the pod that will run, whatever is configured; so everything in it that refers to nothing else is there.
func TestNeeds_AreTheRealPods(t *testing.T) {
	t.Parallel()
	configurations := editions()
	configurations["arm64"] = community(func(c *Config) { c.Architecture, c.TimeZone = "arm64", "Europe/Madrid" })
	configurations["small"] = community(func(c *Config) { c.Memory, c.CPU, c.CPULimit = "2Gi", "500m", "1" })
	for name, cfg := range configurations {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			needs, objects := cfg.Needs(), manifests(t, mustRun(t, cfg))
			deployment := decode[appsv1.Deployment](t, objects, "Deployment", needs.Deployment)
			pod, want := sample(t, needs.Pod), bareTemplate(deployment.Spec.Template)
			if !reflect.DeepEqual(pod.Labels, deployment.Spec.Template.Labels) {
				t.Errorf("labels %v", pod.Labels)
			}
			checkVolumes(t, pod)
			pod.Spec.Volumes = nil
			sameJSON(t, pod.Spec, want)
			if class := deployment.Spec.Template.Spec.PriorityClassName; class != needs.PriorityClass {
				t.Errorf("priority class %s, want %s", needs.PriorityClass, class)
			}
			claim := decode[corev1.PersistentVolumeClaim](t, objects, "PersistentVolumeClaim", needs.Claim)
			if claim.Namespace != needs.Namespace || claim.Spec.Resources.Requests.Storage().Value() != needs.VolumeBytes {
				t.Errorf("got %s with %d bytes", needs.Namespace, needs.VolumeBytes)
			}
			if cfg.PrePullImage {
				beside := decode[appsv1.DaemonSet](t, objects, "DaemonSet", prePullName)
				sameJSON(t, sample(t, needs.PerNode[0]).Spec, bareTemplate(beside.Spec.Template))
			}
		})
	}
}

// Pods that the survey does not know are not counted against quotas.
func TestNeeds_HaveEveryPod(t *testing.T) {
	t.Parallel()
	for name, cfg := range editions() {
		needs, checked := cfg.Needs(), 0
		apps := map[string]string{}
		for kind, pods := range map[string][]map[string]any{
			"once": append([]map[string]any{needs.Pod}, needs.Beside...), "per node": needs.PerNode,
		} {
			for _, pod := range pods {
				apps[sample(t, pod).Labels["app"]] = kind
			}
		}
		for _, object := range manifests(t, mustRun(t, cfg)) {
			content, err := json.Marshal(object.object)
			if err != nil {
				t.Fatal(err)
			}
			var workload struct {
				Kind     string
				Template *corev1.PodTemplateSpec // Of a PodTemplate.
				Spec     struct {
					Template    *corev1.PodTemplateSpec
					Replicas    *int
					JobTemplate struct {
						Spec struct{ Template *corev1.PodTemplateSpec }
					}
				}
			}
			if err := json.Unmarshal(content, &workload); err != nil {
				continue
			}
			if workload.Kind == "CronJob" {
				workload.Spec.Template = workload.Spec.JobTemplate.Spec.Template
			}
			if workload.Kind == "PodTemplate" {
				workload.Spec.Template = workload.Template
			}
			if workload.Spec.Template == nil {
				continue
			}
			if checked++; workload.Spec.Replicas != nil {
				checked += *workload.Spec.Replicas - 1
			}
			app, want := workload.Spec.Template.Labels["app"], "once"
			if workload.Kind == "DaemonSet" {
				want = "per node"
			}
			if apps[app] != want {
				t.Errorf("%s: the survey counts the pod of %s %s as %q, want %q", name, workload.Kind, app, apps[app], want)
			}
		}
		if want := 1 + len(needs.PerNode) + len(needs.Beside); checked != want {
			t.Errorf("%s: %d pods or kinds of one per node, and the survey counts %d", name, checked, want)
		}
	}
}

func sameJSON(t *testing.T, got, want any) {
	t.Helper()
	gotText, gotErr := json.Marshal(got)
	wantText, wantErr := json.Marshal(want)
	if gotErr != nil || wantErr != nil || string(gotText) != string(wantText) {
		t.Errorf("got %s\nwant %s", gotText, wantText)
	}
}

// checkVolumes checks that each mount has its volume: the API server refuses a pod otherwise.
func checkVolumes(t *testing.T, pod corev1.Pod) {
	t.Helper()
	var volumes []string
	for _, volume := range pod.Spec.Volumes {
		volumes = append(volumes, volume.Name)
	}
	for _, container := range append(slices.Clone(pod.Spec.InitContainers), pod.Spec.Containers...) {
		for _, mount := range container.VolumeMounts {
			if !slices.Contains(volumes, mount.Name) {
				t.Errorf("no volume %s", mount.Name)
			}
		}
	}
	if unique := slices.Compact(slices.Sorted(slices.Values(volumes))); len(unique) != len(volumes) || len(volumes) == 0 {
		t.Errorf("volumes %q", volumes)
	}
}

func TestNeeds_FollowTheConfiguration(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*Config)
		check  func(survey.Database) bool
	}{
		"community":     {func(*Config) {}, func(d survey.Database) bool { return d.MaxCores == 20 && d.OncePerPod && len(d.PerNode) == 1 }},
		"licensed":      {func(c *Config) { c.Edition = Licensed }, func(d survey.Database) bool { return d.MaxCores == 0 }},
		"once per node": {func(c *Config) { c.AccessMode = ReadWriteOnce }, func(d survey.Database) bool { return !d.OncePerPod }},
		"no pre-pull":   {func(c *Config) { c.PrePullImage = false }, func(d survey.Database) bool { return len(d.PerNode) == 0 }},
		"inside":        {func(*Config) {}, func(d survey.Database) bool { return d.LoadBalancers+d.NodePorts == 0 }},
		"node ports":    {func(c *Config) { c.Service.Type = NodePort }, func(d survey.Database) bool { return d.LoadBalancers == 0 && d.NodePorts == 1 }},
		"load balancer": {
			func(c *Config) { c.Service.Type, c.Service.Superserver = LoadBalancer, true },
			func(d survey.Database) bool { return d.LoadBalancers == 1 && d.NodePorts == 2 },
		},
	} {
		if needs := community(test.change).Needs(); !test.check(needs) {
			t.Errorf("%s: got %+v", name, needs)
		}
	}
}

// The program waits for pods, starts a job before another image, and looks at what it restores from.
func TestNeeds_NameWhatThePackageAsksFor(t *testing.T) {
	t.Parallel()
	const volumes = "get persistentvolumes, list persistentvolumes, get storageclasses.storage.k8s.io"
	const always = "list pods in iris"
	for want, change := range map[string]func(*Config){
		always:                  func(*Config) {},
		always + ", " + volumes: func(c *Config) { c.RestoreFrom.Backup = "s3://b@r/?backup=x&volume=y" },
		always + ", " + volumes + ", get volumesnapshots.snapshot.storage.k8s.io in iris": func(c *Config) {
			c.Generation, c.RestoreFrom.Snapshot = 2, "s"
		},
		always + ", get jobs.batch in iris, list jobs.batch in iris, create jobs.batch in iris, get backuptargets.longhorn.io in longhorn-system, " +
			"list backups.longhorn.io in longhorn-system": backedUp(agentImage),
	} {
		var got []string
		for _, one := range community(change).Needs().Asks {
			got = append(got, one.String())
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("got %q, want %s", got, want)
		}
	}
}
