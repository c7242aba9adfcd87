// Package claims has the names of the database's claims, and which of them it runs on.
package claims

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// First is the claim of generation 1.
const First = "iris-pvc"

// Name is the name of a generation's claim: iris-pvc, iris-pvc-2, iris-pvc-3 and so on.
func Name(generation int) string {
	if generation <= 1 {
		return First
	}
	return fmt.Sprintf("%s-%d", First, generation)
}

// Generation is what a claim's name stands for; false if it is no such name.
func Generation(claim string) (generation int, valid bool) {
	if claim == First {
		return 1, true
	}
	number, found := strings.CutPrefix(claim, First+"-")
	generation, err := strconv.Atoi(number)
	return generation, found && err == nil && Name(generation) == claim
}

// Cluster reads objects by their path, as live.Cluster does.
type Cluster interface {
	Get(ctx context.Context, path string, into any) (found bool, err error)
}

// Mounted are the claims in the pod template of a Deployment, in its order; found is false when there is no such Deployment.
func Mounted(ctx context.Context, cluster Cluster, namespace, deployment string) (names []string, found bool, err error) {
	var workload struct {
		Spec struct {
			Template struct {
				Spec struct {
					Volumes []struct {
						Claim struct {
							Name string `json:"claimName"`
						} `json:"persistentVolumeClaim"`
					} `json:"volumes"`
				} `json:"spec"`
			} `json:"template"`
		} `json:"spec"`
	}
	found, err = cluster.Get(ctx, "/apis/apps/v1/namespaces/"+namespace+"/deployments/"+deployment, &workload)
	if err != nil {
		return nil, false, fmt.Errorf("look up Deployment %s/%s: %w", namespace, deployment, err)
	}
	for _, volume := range workload.Spec.Template.Spec.Volumes {
		if volume.Claim.Name != "" {
			names = append(names, volume.Claim.Name)
		}
	}
	return names, found, nil
}
