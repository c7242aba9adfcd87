package iris

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
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

// lastTwo are the images of the newest template and of the one before; empty where there is none.
func (r replicaSets) lastTwo() (before, now string) {
	newest, second := 0, 0
	for _, one := range r.Items {
		revision, _ := strconv.Atoi(one.Metadata.Annotations["deployment.kubernetes.io/revision"])
		switch image := one.Spec.Template.Spec.database(); {
		case revision > newest:
			before, second, now, newest = now, newest, image, revision
		case revision > second:
			before, second = image, revision
		}
	}
	return before, now
}

// afterUpgrade is what to do about a database that does not come up with another image than before, which only IRIS itself can tell the reason of;
// none where the image is the same or nothing can be found out.
func (r *rollout) afterUpgrade(ctx context.Context) []string {
	var all replicaSets
	if _, err := r.api.Get(ctx, "/apis/apps/v1/namespaces/"+r.namespace+"/replicasets?labelSelector="+url.QueryEscape(r.selector), &all); err != nil {
		return nil
	}
	before, now := all.lastTwo()
	if before == "" || now == "" || sameContent(before, now) {
		return nil
	}
	return []string{fmt.Sprintf("The image before was %[1]s. If IRIS says that the run before did not end in order, it has not started; the vendor's way is: %[2]s. "+
		"If it has upgraded the data already, %[1]s does not start on them: mend the cause, or restore the last backup together with it", before, vendorsWay(before, now))}
}
