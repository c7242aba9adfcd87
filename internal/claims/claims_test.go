package claims_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"testing"

	"ha-iris/internal/claims"
)

func TestGeneration_IsTheWayBackFromItsName(t *testing.T) {
	t.Parallel()
	for generation, name := range map[int]string{1: "iris-pvc", 2: "iris-pvc-2", 10: "iris-pvc-10"} {
		if got := claims.Name(generation); got != name {
			t.Errorf("generation %d is %s, want %s", generation, got, name)
		}
		if got, valid := claims.Generation(name); !valid || got != generation {
			t.Errorf("%s is generation %d, %t", name, got, valid)
		}
	}
	for _, name := range []string{"", "data", "iris-pvc-", "iris-pvc-1", "iris-pvc-0", "iris-pvc-02", "iris-pvc-x", "iris-pvc2", "my-iris-pvc"} {
		if got, valid := claims.Generation(name); valid {
			t.Errorf("%q is taken for generation %d", name, got)
		}
	}
}

// cluster answers with one Deployment.
type cluster struct {
	text string
	err  error
}

func (c cluster) Get(_ context.Context, path string, into any) (bool, error) {
	if c.err != nil || c.text == "" || path != "/apis/apps/v1/namespaces/db/deployments/iris" {
		return false, c.err
	}
	return true, json.Unmarshal([]byte(c.text), into)
}

func TestMounted_AreThoseOfTheDeployment(t *testing.T) {
	t.Parallel()
	const two = `{"spec":{"template":{"spec":{"volumes":[{"name":"tmp"},{"persistentVolumeClaim":{"claimName":"a"}},{"persistentVolumeClaim":{"claimName":"b"}}]}}}}`
	if names, found, err := claims.Mounted(t.Context(), cluster{text: two}, "db", "iris"); err != nil || !found || !slices.Equal(names, []string{"a", "b"}) {
		t.Errorf("got %v, %t, %v", names, found, err)
	}
	if names, found, err := claims.Mounted(t.Context(), cluster{}, "db", "iris"); err != nil || found || len(names) > 0 {
		t.Errorf("none: got %v, %t, %v", names, found, err)
	}
	away := errors.New("away")
	if _, found, err := claims.Mounted(t.Context(), cluster{err: away}, "db", "iris"); !errors.Is(err, away) || found {
		t.Errorf("got %t, %v", found, err)
	}
}
