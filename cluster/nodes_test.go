package cluster

import (
	"strings"
	"testing"
)

func TestCheckFewerNodes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		cloud         Cloud
		before, after int
		want          string
	}{
		{AKS, 3, 6, ""},
		{AKS, 6, 6, ""},
		{EKS, 6, 5, ""},
		{AKS, 6, 4, "cluster.nodes: got 4, want at least 5, one less than now"},
		{EKS, 6, 3, "cluster.nodes: got 3, want at least 5, one less than now"},
		{GKE, 1, 2, ""},
		{GKE, 2, 2, ""},
		{GKE, 2, 1, "cluster.nodes: got 3, want at least 6, as the cluster has it"},
	} {
		err := checkFewerNodes(test.cloud, test.before, test.after)
		switch {
		case test.want == "" && err != nil:
			t.Errorf("%s %d to %d: %v", test.cloud, test.before, test.after, err)
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), runbookFewerNodes)):
			t.Errorf("%s %d to %d: got %v, want %s", test.cloud, test.before, test.after, err, test.want)
		}
	}
}
