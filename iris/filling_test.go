package iris

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"

	"ha-iris/internal/clock"
	"ha-iris/internal/guard"
	"ha-iris/internal/live"
)

const (
	secondClaim = "/api/v1/namespaces/iris/persistentvolumeclaims/iris-pvc-2"
	boundJSON   = `{"spec":{"volumeName":"pvc-9","storageClassName":"longhorn-iris-2"},"status":{"phase":"Bound"}}`
	pendingJSON = `{"spec":{"storageClassName":"longhorn-iris-2"},"status":{"phase":"Pending"}}`
	volumeJSON  = `{"spec":{"csi":{"driver":"driver.example.com","volumeHandle":"handle-9"}}}`
	eventsJSON  = `{"items":[{"involvedObject":{"name":"iris-pvc-2"},"reason":"ProvisioningFailed","message":"no backup"}]}`
)

// bound is a cluster whose second claim is bound.
func bound() *objects {
	return &objects{there: map[string]string{
		secondClaim: boundJSON, "/api/v1/persistentvolumes/pvc-9": volumeJSON,
		"/api/v1/namespaces/iris/events?fieldSelector=type%3DWarning&limit=500": eventsJSON,
	}}
}

// fill waits with a clock that only pauses move.
func fill(t *testing.T, api *objects, storage Restorer) (f *filling, said *[]string, waited func() time.Duration) {
	t.Helper()
	start := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	now, lines := start, []string{}
	f = &filling{
		api: api, restorer: storage, namespace: "iris", claim: "iris-pvc-2", restores: true, budget: 10 * time.Minute,
		log:   func(text string) { lines = append(lines, text) },
		now:   func() time.Time { return now },
		pause: func(ctx context.Context, length time.Duration) error { now = now.Add(length); return ctx.Err() },
	}
	return f, &lines, func() time.Duration { return now.Sub(start) }
}

func TestFilling_WaitsUntilTheVolumeHasItsData(t *testing.T) {
	t.Parallel()
	storage := &restorer{looks: []clock.Found{{State: "restores, 10 %"}, {State: "restores, 10 %"}, {State: "restores, 60 %"}, {Done: true}}}
	f, said, waited := fill(t, bound(), storage)
	if err := f.await(t.Context()); err != nil || waited() != 3*fillTick {
		t.Errorf("waited %s, %v", waited(), err)
	}
	if storage.asked[0] != "driver.example.com/handle-9" {
		t.Errorf("asked for %v", storage.asked)
	}
	if len(*said) != 2 || !strings.Contains((*said)[1], "waiting for the data of claim iris-pvc-2 since 4s: restores, 60 %") {
		t.Errorf("said %q", *said)
	}
}

// It says every 10 s how far it is.
func TestFilling_GivesUpWithWhatItSaw(t *testing.T) {
	t.Parallel()
	pending := bound()
	pending.there[secondClaim] = pendingJSON
	pending.there["/apis/storage.k8s.io/v1/storageclasses/longhorn-iris-2"] = `{"volumeBindingMode":"Immediate"}`
	for name, test := range map[string]struct {
		api    *objects
		looks  []clock.Found
		waited time.Duration
		want   string
	}{
		"slow":       {bound(), []clock.Found{{State: "restores"}}, 10 * time.Minute, "does not have its data after 10m0s:\n  restores\n"},
		"failed":     {bound(), []clock.Found{{State: "restores"}, {Hopeless: true, State: "all replicas failed"}}, fillTick, "all replicas failed\n  iris-pvc-2, event ProvisioningFailed: no backup"},
		"not bound":  {pending, nil, 10 * time.Minute, "the claim is Pending\n  iris-pvc-2, event ProvisioningFailed: no backup"},
		"not there":  {&objects{}, nil, 10 * time.Minute, "the claim is not there"},
		"forbidden":  {&objects{err: &live.StatusError{Code: http.StatusForbidden, Message: "no"}}, nil, 0, "no"},
		"no handle":  {&objects{there: map[string]string{secondClaim: boundJSON}}, nil, 10 * time.Minute, "PersistentVolume pvc-9 names no volume"},
		"server out": {&objects{err: errors.New("connection refused")}, nil, 10 * time.Minute, "connection refused"},
	} {
		f, said, waited := fill(t, test.api, &restorer{looks: test.looks})
		err := f.await(t.Context())
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "The database was not moved to it") {
			t.Errorf("%s: got %v", name, err)
		}
		if waited() != test.waited {
			t.Errorf("%s: waited %s", name, waited())
		}
		if name == "slow" && len(*said) != int(test.waited/fillReport) {
			t.Errorf("said %d times how far it is", len(*said))
		}
	}
	f, _, _ := fill(t, bound(), &restorer{looks: []clock.Found{{State: "restores"}}})
	f.pause = func(context.Context, time.Duration) error { return context.Canceled }
	if err := f.await(t.Context()); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// A class that binds with the first consumer makes no volume before there is a pod: waiting for it would never end.
func TestFilling_DoesNotWaitForAVolumeThatComesWithItsPod(t *testing.T) {
	t.Parallel()
	api := bound()
	api.there[secondClaim] = pendingJSON
	api.there["/apis/storage.k8s.io/v1/storageclasses/longhorn-iris-2"] = `{"volumeBindingMode":"WaitForFirstConsumer"}`
	f, said, waited := fill(t, api, nil)
	f.restorer = nil
	if err := f.await(t.Context()); err != nil || waited() != 0 || len(*said) != 1 || !strings.Contains((*said)[0], "WaitForFirstConsumer") {
		t.Errorf("waited %s, said %v, %v", waited(), *said, err)
	}
	f, _, _ = fill(t, bound(), nil) // Other storage: what is bound is there.
	f.restorer = nil
	if err := f.await(t.Context()); err != nil {
		t.Errorf("got %v", err)
	}
}

// An alert has the claim in an expression, a dashboard has that in JSON. Others wait for the same at the same time.
func TestFilling_IsWaitedForOnceByAll(t *testing.T) {
	t.Parallel()
	text := func(text string) guard.Inputs {
		return guard.InputsOf(resource.NewPropertyMapFromMap(map[string]any{"spec": text}))
	}
	for of, waits := range map[string]bool{
		`up{pvc="iris-pvc-2"}`: false, `{"expr":"up{pvc=\"iris-pvc-2\"}"}`: false,
		`up{pvc="iris-pvc"}`: true, `up{pvc="iris-pvc-20"}`: true, `{"expr":"up{pvc=\"iris-pvc\"}"}`: true,
	} {
		storage := &restorer{looks: []clock.Found{{Done: true}}}
		f, _, _ := fill(t, bound(), storage)
		for range 2 {
			if err := f.beforeWrite(t.Context(), text(of)); err != nil || len(storage.asked) == 1 != waits {
				t.Errorf("%s: asked %v, %v", of, storage.asked, err)
			}
		}
	}
	f, _, _ := fill(t, bound(), &restorer{looks: []clock.Found{{Hopeless: true, State: "lost"}, {Done: true}}})
	for range 2 {
		if err := f.beforeWrite(t.Context(), text("iris-pvc")); err == nil || !strings.Contains(err.Error(), "lost") {
			t.Errorf("got %v", err)
		}
	}
}

// Longhorn looks after replicas of volumes in use only, and the old ones stay.
func TestFilling_HasTheOldVolumesLookedAfter(t *testing.T) {
	t.Parallel()
	old := guard.InputsOf(resource.NewPropertyMapFromMap(map[string]any{"claimName": "iris-pvc"}))
	for name, test := range map[string]struct {
		looks   clock.Found
		refuses error
		retired int
		warned  string
	}{
		"moved":      {clock.Found{Done: true}, nil, 1, ""},
		"not filled": {clock.Found{Hopeless: true}, nil, 0, ""},
		"refused":    {clock.Found{Done: true}, errors.New("forbidden"), 1, "the volume of claim iris-pvc, which stays, may lose its replicas with the nodes that they are on: forbidden"},
	} {
		storage := &restorer{looks: []clock.Found{test.looks}, refuses: test.refuses}
		api := bound()
		api.there["/api/v1/namespaces/iris/persistentvolumeclaims/iris-pvc"] = `{"spec":{"volumeName":"pvc-1"},"status":{"phase":"Bound"}}`
		api.there["/api/v1/persistentvolumes/pvc-1"] = `{"spec":{"csi":{"driver":"driver.example.com","volumeHandle":"handle-1"}}}`
		f, _, _ := fill(t, api, storage)
		warned := ""
		f.older, f.warn = []string{"iris-pvc", "iris-pvc-gone"}, func(text string) { warned += text }
		err := f.beforeWrite(t.Context(), old)
		if (err != nil) != test.looks.Hopeless || len(storage.retired) != test.retired || warned != test.warned {
			t.Errorf("%s: retired %v, warned %q, %v", name, storage.retired, warned, err)
		}
		if test.retired > 0 && storage.retired[0] != "driver.example.com/handle-1" {
			t.Errorf("%s: retired %v", name, storage.retired)
		}
	}
}

func TestFilling_IsWaitedForByWhatMovesToTheClaim(t *testing.T) {
	t.Parallel()
	deployment := func(claim string) guard.Inputs {
		return guard.InputsOf(resource.NewPropertyMapFromMap(map[string]any{"spec": map[string]any{"volumes": []any{
			map[string]any{"persistentVolumeClaim": map[string]any{"claimName": claim}},
		}}}))
	}
	for name, test := range map[string]struct {
		before guard.Inputs
		change func(*filling)
		waits  bool
	}{
		"moves":                   {deployment("iris-pvc"), nil, true},
		"moves, source taken out": {deployment("iris-pvc"), func(f *filling) { f.restores = false }, true},
		"is there already":        {deployment("iris-pvc-2"), nil, false},
		"new, a clone":            {guard.Inputs{}, nil, true},
		"new, empty":              {guard.Inputs{}, func(f *filling) { f.restores = false }, false},
		"a preview":               {deployment("iris-pvc"), func(f *filling) { f.preview = true }, false},
		"no cluster":              {deployment("iris-pvc"), func(f *filling) { f.api = nil }, false},
	} {
		storage := &restorer{looks: []clock.Found{{Done: true}}}
		f, _, _ := fill(t, bound(), storage)
		if test.change != nil {
			test.change(f)
		}
		if err := f.beforeWrite(t.Context(), test.before); err != nil || len(storage.asked) > 0 != test.waits {
			t.Errorf("%s: asked %v, %v", name, storage.asked, err)
		}
	}
}

// What need not come after the claim goes on where nothing makes it meanwhile.
func TestFilling_IsNotWaitedForBeforeItsClaimIsMade(t *testing.T) {
	t.Parallel()
	storage := &restorer{looks: []clock.Found{{State: "restores"}, {Done: true}}}
	f, _, waited := fill(t, bound(), storage)
	if err := f.waitBeside(t.Context()); err != nil || waited() != fillTick || len(storage.asked) != 2 {
		t.Errorf("with a claim: waited %s, asked %v, %v", waited(), storage.asked, err)
	}
	f, _, waited = fill(t, &objects{there: map[string]string{}}, storage)
	if err := f.waitBeside(t.Context()); err != nil || waited() > claimPatience+fillTick || waited() < claimPatience {
		t.Errorf("without: waited %s, %v", waited(), err)
	}
}
