package check

import (
	"fmt"
	"regexp"
	"strings"
)

const wantImage = "a digest (NAME@sha256:...) or a full version tag (NAME:1.2.3)"

var (
	digestPattern = regexp.MustCompile(`@sha256:[0-9a-f]{64}$`)
	// A full version has three numbers or more, because that is where most publishers stop moving a tag: 1.37 is whatever
	// 1.37.x is the latest. What follows names a build or a variant.
	versionPattern = regexp.MustCompile(`^v?\d+(\.\d+){2,}([-+_.][0-9A-Za-z.+_-]+)?$`)
)

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

func isPinned(image string) bool {
	return digestPattern.MatchString(image) || versionPattern.MatchString(tagOf(image))
}

// tagOf returns an image's tag, or "". A colon before the last slash belongs to a registry's port.
func tagOf(image string) string {
	image, _, _ = strings.Cut(image, "@")
	_, tag, _ := strings.Cut(image[strings.LastIndex(image, "/")+1:], ":")
	return tag
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
