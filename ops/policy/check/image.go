package check

import (
	"fmt"
	"strings"

	"ha-iris/internal/rules"
)

const wantImage = "a digest (NAME@sha256:...) or a full version tag (NAME:1.2.3)"

// checkImages looks at every container of every Kubernetes object, custom ones included, and at charts.
func checkImages(r *resource, report reporter) {
	if r.isChart() {
		checkChart(r, report)
		return
	}
	if !r.isKubernetes() {
		return
	}
	for _, container := range containers(r) {
		image, given := container.value["image"].(string)
		if given && !isSecret(image) && !isUnknown(image) && !isPinned(image) {
			report(r, container.path+".image", describeImage(image), wantImage)
		}
	}
}

// container is one entry of a list of containers.
type container struct {
	path  string
	value map[string]any
}

// containers finds the containers of pods and of whatever has a pod's template in it.
func containers(r *resource) []container {
	var found []container
	walk(field{value: r.Inputs}, func(f field) bool {
		list, ok := f.value.([]any)
		if !ok || !isContainerList(f.key) {
			return true
		}
		for i, element := range list {
			if value, ok := element.(map[string]any); ok {
				found = append(found, container{path: fmt.Sprintf("%s[%d]", f.path, i), value: value})
			}
		}
		return false
	})
	return found
}

func isContainerList(key string) bool {
	return key == "containers" || key == "initContainers" || key == "ephemeralContainers"
}

func isPinned(reference string) bool {
	image, valid := rules.ParseImage(reference)
	return valid && image.IsPinned()
}

// tagOf returns an image's tag, or "".
func tagOf(reference string) string {
	image, _ := rules.ParseImage(reference)
	return image.Tag
}

func describeImage(image string) string {
	switch tag := tagOf(image); {
	case tag == "":
		return image + ", which means latest"
	case isLatest(tag):
		return image
	default:
		return image + ", a tag that moves"
	}
}

func isLatest(tag string) bool { return strings.HasPrefix(tag, "latest") }

// checkChart looks at what a chart's values say of images. Values that name no tag leave it to the chart. The chart's own
// version needs no rule: where the program leaves it out, the provider writes into the state which one it took.
func checkChart(r *resource, report reporter) {
	walk(field{path: "values", value: r.Inputs["values"]}, func(f field) bool {
		text, ok := f.value.(string)
		if ok && (f.key == "tag" && isLatest(text) || f.key == "image" && isLatest(tagOf(text))) {
			report(r, f.path, text, wantImage)
		}
		return true
	})
}
