package standin

import (
	"crypto/sha256"
	"encoding/hex"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// textAt, truthAt and numberAt read a field of one of Longhorn's objects. A field that is missing, or that somebody filled
// with another type, is empty.
func textAt(object *unstructured.Unstructured, path ...string) string {
	value, _, err := unstructured.NestedString(object.Object, path...)
	if err != nil {
		return ""
	}
	return value
}

func truthAt(object *unstructured.Unstructured, path ...string) bool {
	value, _, err := unstructured.NestedBool(object.Object, path...)
	return err == nil && value
}

func numberAt(object *unstructured.Unstructured, path ...string) int64 {
	value, _, err := unstructured.NestedInt64(object.Object, path...)
	if err != nil {
		return 0
	}
	return value
}

// mapAt returns the object's own map, and an empty one if there is none.
func mapAt(object *unstructured.Unstructured, path ...string) map[string]any {
	value, _, err := unstructured.NestedFieldNoCopy(object.Object, path...)
	if fields, ok := value.(map[string]any); err == nil && ok {
		return fields
	}
	return map[string]any{}
}

// put sets a field, and makes the maps above it.
func put(object *unstructured.Unstructured, value any, path ...string) {
	fields := object.Object
	for _, name := range path[:len(path)-1] {
		next, ok := fields[name].(map[string]any)
		if !ok {
			next = map[string]any{}
			fields[name] = next
		}
		fields = next
	}
	fields[path[len(path)-1]] = value
}

// conditionOf returns the condition of that type, and an empty one if there is none.
func conditionOf(conditions []any, kind string) map[string]any {
	for _, condition := range conditions {
		if fields, ok := condition.(map[string]any); ok && fields["type"] == kind {
			return fields
		}
	}
	return map[string]any{}
}

func holds(conditions []any, kind string) bool {
	return conditionOf(conditions, kind)["status"] == string(metav1.ConditionTrue)
}

// withCondition returns the conditions with that one set. Its time is that of its last change of status.
func withCondition(conditions []any, now, kind, status, reason, message string) []any {
	condition := map[string]any{
		"type": kind, "status": status, "reason": reason, "message": message, "lastProbeTime": "", "lastTransitionTime": now,
	}
	changed := make([]any, 0, len(conditions)+1)
	for _, existing := range conditions {
		fields, ok := existing.(map[string]any)
		if !ok || fields["type"] != kind {
			changed = append(changed, existing)
			continue
		}
		if since, ok := fields["lastTransitionTime"].(string); ok && since != "" && fields["status"] == status {
			condition["lastTransitionTime"] = since
		}
	}
	return append(changed, condition)
}

// longhornTime is how Longhorn writes a time, in UTC.
const longhornTime = time.RFC3339

// now is the time as Longhorn writes it.
func (c *standIn) now() string { return c.clock.Now().UTC().Format(longhornTime) }

// since returns how long ago that was; a very long time if it is no time at all.
func (c *standIn) since(when string) time.Duration {
	then, err := time.Parse(time.RFC3339, when)
	if err != nil {
		return 1<<63 - 1
	}
	return c.clock.Now().Sub(then)
}

// checksum is a name's last part that is always the same for the same text.
func checksum(text string, length int) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])[:length]
}
