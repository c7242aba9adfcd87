package survey

import (
	"errors"
	"strings"

	"ha-iris/internal/live"
)

// notThePods are parts of messages of the API server that refuse a trial pod for a reason that is not the pod's.
//
// The user may make Deployments and no pods. The namespace is so new that its account is not there yet. A quota counts the pod
// that runs already, which an update takes away first; checkQuotas judges quotas.
func notThePods() []string {
	return []string{`cannot create resource "pods"`, "error looking up service account", "exceeded quota:"}
}

// refusal returns how the API server refused the trial pod, if it did and if that says something about the pod.
func (f *facts) refusal() (*live.StatusError, bool) {
	var refusal *live.StatusError
	if !errors.As(f.pod.err, &refusal) {
		return nil, false
	}
	for _, part := range notThePods() {
		if strings.Contains(refusal.Message, part) {
			return nil, false
		}
	}
	return refusal, true
}

// judgesTheRequest reports whether a refusal is that of a webhook or a policy of the cluster's owner. Those see who asks, and for what:
// they may judge a pod of the ReplicaSet controller's otherwise than this user's trial. Pod Security looks at the pod alone, also
// as a webhook.
func judgesTheRequest(message string) bool {
	return !strings.Contains(message, "violates PodSecurity") &&
		(strings.Contains(message, "admission webhook ") || strings.Contains(message, "ValidatingAdmissionPolicy "))
}
