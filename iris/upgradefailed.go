package iris

import (
	"context"
	"fmt"
	"net/url"
	"strconv"

	"ha-iris/internal/pods"
)

// replicaSets are the Deployment's, each with a template that it has had.
type replicaSets struct {
	Items []struct {
		Metadata struct {
			Annotations map[string]string `json:"annotations"`
		} `json:"metadata"`
		Spec struct {
			Template struct {
				Spec podImages `json:"spec"`
			} `json:"template"`
		} `json:"spec"`
	} `json:"items"`
}

const (
	revisionAnnotation = "deployment.kubernetes.io/revision"
	// earlierAnnotation are the revisions that a ReplicaSet has had before, when its template has come again (kubernetes, deployment/util,
	// SetNewReplicaSetAnnotations).
	earlierAnnotation = "deployment.kubernetes.io/revision-history"
)

// onlyForItsImage says whether the newest template never had a database that ran, so that what keeps it from being ready may be its image: it is
// the first one, or the one before has another image. One whose image comes again is the vendor's way out of an unclean stop, and recovers.
func (r replicaSets) onlyForItsImage() bool {
	newest, came, again := 0, map[string]int{}, false
	for _, one := range r.Items {
		revision, _ := strconv.Atoi(one.Metadata.Annotations[revisionAnnotation])
		came[one.Spec.Template.Spec.database()]++
		if revision > newest {
			newest, again = revision, one.Metadata.Annotations[earlierAnnotation] != ""
		}
	}
	before, now := r.lastTwo()
	if before == "" {
		return newest <= 1
	}
	return !sameContent(before, now) && !again && came[now] == 1
}

// lastTwo are the images of the newest template and of the one before; empty where there is none.
func (r replicaSets) lastTwo() (before, now string) {
	newest, second := 0, 0
	for _, one := range r.Items {
		revision, _ := strconv.Atoi(one.Metadata.Annotations[revisionAnnotation])
		switch image := one.Spec.Template.Spec.database(); {
		case revision > newest:
			before, second, now, newest = now, newest, image, revision
		case revision > second:
			before, second = image, revision
		}
	}
	return before, now
}

func templates(ctx context.Context, api pods.Cluster, namespace, selector string) (all replicaSets, err error) {
	if _, err = api.Get(ctx, "/apis/apps/v1/namespaces/"+namespace+"/replicasets?labelSelector="+url.QueryEscape(selector), &all); err != nil {
		return all, fmt.Errorf("look for the Deployment's ReplicaSets: %w", err)
	}
	return all, nil
}

// afterUpgrade is what to do about a database that does not come up with another image than before, which only IRIS itself can tell the reason of;
// none where the image is the same or nothing can be found out.
func (r *rollout) afterUpgrade(ctx context.Context) []string {
	all, err := templates(ctx, r.api, r.namespace, r.selector)
	if err != nil {
		return nil
	}
	before, now := all.lastTwo()
	if before == "" || now == "" || sameContent(before, now) {
		return nil
	}
	return []string{fmt.Sprintf("The image before was %[1]s. If IRIS says that the run before did not end in order, it has not started; the vendor's way is: %[2]s. "+
		"If it has upgraded the data already, %[1]s does not start on them: mend the cause, or restore the last backup together with it", before, vendorsWay(before, now))}
}
