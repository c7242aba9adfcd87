package preflight

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// spares is how many other nodes must be able to take the database: one is to take it, and the other is what is left when that one
// has a fault of its own.
const spares = 2

// Check returns every reason not to begin, and what was not looked at.
func Check(world *World) (refusals, notes []string) {
	refuse := func(format string, args ...any) { refusals = append(refusals, fmt.Sprintf(format, args...)) }
	if world.Hold != nil {
		refusals = append(refusals, world.held()...)
	}
	pod := world.Pod()
	if pod == nil {
		refuse("there is no pod of the database in namespace %s", world.Namespace)
		return refusals, notes
	}
	if len(world.Database) > 1 {
		refuse("the database has %d pods: a failover is going on", len(world.Database))
	}
	if !PodReady(pod) {
		refuse("the database's pod %s is not Ready", pod.Name)
	}
	if world.ClaimUID == "" || world.PersistentVolume == "" {
		refuse("the claim %s is not bound", world.Claim)
	}
	if pod.Spec.NodeName != "" && pod.Spec.NodeName == world.RunnerNode {
		refuse("this program runs on node %s, where the database is: start it elsewhere", world.RunnerNode)
	}
	if world.Volume == nil {
		notes = append(notes, fmt.Sprintf("not checked: the volume's health and replicas (its driver is %q, not Longhorn)", world.Driver))
	} else {
		refusals = append(refusals, world.volume(pod)...)
	}
	return append(refusals, world.spares(pod)...), notes
}

func (w *World) held() []string {
	switch {
	case w.Hold.Live:
		return []string{fmt.Sprintf("another drill is at work: %s, seen at %s", w.Hold.Holder, w.Hold.Renewed.UTC().Format(time.RFC3339))}
	case w.Hold.Unfinished:
		return []string{fmt.Sprintf("the drill %s ended at %s without cleaning up: go run ./ops/drill cleanup",
			w.Hold.Holder, w.Hold.Renewed.UTC().Format(time.RFC3339))}
	default:
		return nil
	}
}

func (w *World) volume(pod *corev1.Pod) []string {
	var refusals []string
	if w.Volume.State != "attached" || w.Volume.Robustness != "healthy" {
		refusals = append(refusals, fmt.Sprintf("the volume %s is %s and %s, want attached and healthy",
			w.Volume.Name, w.Volume.State, w.Volume.Robustness))
	}
	if len(w.Volume.Rebuilding) > 0 {
		refusals = append(refusals, fmt.Sprintf("replicas are being rebuilt: %s", strings.Join(w.Volume.Rebuilding, ", ")))
	}
	var elsewhere []string
	for _, replica := range w.Volume.Replicas {
		node := w.node(replica.Node)
		other := replica.Node != pod.Spec.NodeName && !slices.Contains(elsewhere, replica.Node)
		if replica.Good && other && node != nil && NodeReady(node) {
			elsewhere = append(elsewhere, replica.Node)
		}
	}
	if len(elsewhere) < spares {
		refusals = append(refusals, fmt.Sprintf("the volume has healthy replicas on %d other Ready nodes %v, want %d",
			len(elsewhere), elsewhere, spares))
	}
	return refusals
}

func (w *World) node(name string) *corev1.Node {
	for i := range w.Nodes {
		if w.Nodes[i].Name == name {
			return &w.Nodes[i]
		}
	}
	return nil
}

// spares wants other nodes that could take the pod now: Ready, schedulable, with room and with its images.
func (w *World) spares(pod *corev1.Pod) []string {
	var able []string
	var why []string
	for i := range w.Nodes {
		node := &w.Nodes[i]
		if node.Name == pod.Spec.NodeName {
			continue
		}
		obstacles := w.obstacles(node, pod)
		if len(obstacles) == 0 {
			able = append(able, node.Name)
			continue
		}
		why = append(why, node.Name+": "+strings.Join(obstacles, ", "))
	}
	if len(able) >= spares {
		return nil
	}
	refusal := fmt.Sprintf("%d other nodes can take the database %v, want %d", len(able), able, spares)
	if len(why) > 0 {
		refusal += "; " + strings.Join(why, "; ")
	}
	return []string{refusal}
}

func (w *World) obstacles(node *corev1.Node, pod *corev1.Pod) []string {
	var obstacles []string
	if !NodeReady(node) {
		obstacles = append(obstacles, "not Ready")
	}
	if node.Spec.Unschedulable {
		obstacles = append(obstacles, "cordoned")
	}
	for _, taint := range node.Spec.Taints {
		if taint.Effect != corev1.TaintEffectPreferNoSchedule && !tolerated(pod, taint) {
			obstacles = append(obstacles, "tainted "+taint.Key)
		}
	}
	obstacles = slices.Compact(obstacles) // One key with two effects.
	for key, value := range pod.Spec.NodeSelector {
		if node.Labels[key] != value {
			obstacles = append(obstacles, "without the label "+key+"="+value)
		}
	}
	obstacles = append(obstacles, w.lacksRoom(node, pod)...)
	for _, container := range pod.Spec.Containers {
		if !w.hasImage(node, container.Image) {
			obstacles = append(obstacles, "without the image "+container.Image)
		}
	}
	return obstacles
}

func tolerated(pod *corev1.Pod, taint corev1.Taint) bool {
	return slices.ContainsFunc(pod.Spec.Tolerations, func(t corev1.Toleration) bool {
		// With a time limit it does not help: the pod would be evicted again.
		return t.TolerationSeconds == nil && (t.Key == taint.Key || t.Key == "" && t.Operator == corev1.TolerationOpExists) &&
			(t.Effect == "" || t.Effect == taint.Effect) && (t.Operator == corev1.TolerationOpExists || t.Value == taint.Value)
	})
}

// lacksRoom compares what the pod asks for with what the node has left.
func (w *World) lacksRoom(node *corev1.Node, pod *corev1.Pod) []string {
	left := node.Status.Allocatable.DeepCopy()
	for i := range w.Pods {
		other := &w.Pods[i]
		if other.Spec.NodeName != node.Name || other.Status.Phase == corev1.PodSucceeded || other.Status.Phase == corev1.PodFailed {
			continue
		}
		for name, quantity := range requests(other) {
			if rest, counted := left[name]; counted {
				rest.Sub(quantity)
				left[name] = rest
			}
		}
		if rest, counted := left[corev1.ResourcePods]; counted {
			rest.Sub(*resource.NewQuantity(1, resource.DecimalSI))
			left[corev1.ResourcePods] = rest
		}
	}
	wanted := requests(pod)
	wanted[corev1.ResourcePods] = *resource.NewQuantity(1, resource.DecimalSI)
	var lacking []string
	for name, quantity := range wanted {
		if rest, counted := left[name]; counted && rest.Cmp(quantity) < 0 {
			lacking = append(lacking, fmt.Sprintf("%s of %s left, want %s", rest.String(), name, quantity.String()))
		}
	}
	slices.Sort(lacking)
	return lacking
}

// requests are what the scheduler counts: the sum of the containers, or one init container if it asks for more, and what is on top.
func requests(pod *corev1.Pod) corev1.ResourceList {
	sum := corev1.ResourceList{}
	add := func(list corev1.ResourceList) {
		for name, quantity := range list {
			total := sum[name]
			total.Add(quantity)
			sum[name] = total
		}
	}
	for i := range pod.Spec.Containers {
		add(pod.Spec.Containers[i].Resources.Requests)
	}
	for i := range pod.Spec.InitContainers {
		for name, quantity := range pod.Spec.InitContainers[i].Resources.Requests {
			if total := sum[name]; total.Cmp(quantity) < 0 {
				sum[name] = quantity
			}
		}
	}
	add(pod.Spec.Overhead)
	return sum
}

// hasImage looks at what the node says, which leaves images out beyond the 50 largest, and at a pod there that runs with the
// image, such as that of the DaemonSet which pulls it beforehand.
func (w *World) hasImage(node *corev1.Node, image string) bool {
	wanted := normalized(image)
	for _, one := range node.Status.Images {
		for _, name := range one.Names {
			if normalized(name) == wanted {
				return true
			}
		}
	}
	for i := range w.Pods {
		pod := &w.Pods[i]
		if pod.Spec.NodeName != node.Name || !PodReady(pod) {
			continue
		}
		for _, container := range pod.Spec.Containers {
			if container.Image == image {
				return true
			}
		}
	}
	return false
}

// normalized is an image's name with Docker's defaults, and without the tag where there is a digest.
func normalized(image string) string {
	if name, digest, found := strings.Cut(image, "@"); found {
		if colon := strings.LastIndex(name, ":"); colon > strings.LastIndex(name, "/") {
			name = name[:colon]
		}
		image = name + "@" + digest
	} else if strings.LastIndex(image, ":") <= strings.LastIndex(image, "/") {
		image += ":latest"
	}
	first, rest, found := strings.Cut(image, "/")
	switch {
	case !found:
		return "docker.io/library/" + image
	case !strings.ContainsAny(first, ".:") && first != "localhost":
		return "docker.io/" + first + "/" + rest
	default:
		return image
	}
}
