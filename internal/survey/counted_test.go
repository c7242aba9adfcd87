package survey_test

import (
	"slices"
	"testing"

	"ha-iris/internal/survey"
)

const (
	serviceKey   = "GET /api/v1/namespaces/iris/services/iris-svc"
	daemonSetKey = "GET /apis/apps/v1/namespaces/iris/daemonsets/iris-pre-pull"
)

// named are needs with the names of all objects.
func named(change ...func(*survey.Needs)) survey.Needs {
	n := needs()
	n.Database.Service, n.Database.DaemonSet = "iris-svc", "iris-pre-pull"
	for _, apply := range change {
		apply(&n)
	}
	return n
}

func claimOf(phase, size string) object {
	return object{
		"spec":   object{"storageClassName": "longhorn-iris", "resources": object{"requests": object{"storage": size}}},
		"status": object{"phase": phase},
	}
}

// loadBalancer is the Service that needs asks for.
func loadBalancer() object {
	return object{"spec": object{"type": "LoadBalancer", "ports": []object{{"nodePort": 30001}, {"nodePort": 30002}}}}
}

// full is a quota of which everything is used.
func full(a *api, hard object) {
	a.answers[quotas] = items(object{"metadata": object{"name": "team"}, "status": object{"hard": hard, "used": hard}})
}

// An update that stopped before the Deployment, or a Deployment that somebody deleted, leaves objects that the quota counts and the
// next update does not make again.
func TestQuotas_CountNothingTwice(t *testing.T) {
	t.Parallel()
	const ofClass = "longhorn-iris.storageclass.storage.k8s.io/"
	objects := func() object {
		return object{
			"persistentvolumeclaims": "1", "count/persistentvolumeclaims": "1", "requests.storage": "20Gi",
			ofClass + "requests.storage": "20Gi", ofClass + "persistentvolumeclaims": "1",
			"services": "1", "count/services": "1", "services.loadbalancers": "1", "services.nodeports": "2", "count/daemonsets.apps": "1",
		}
	}
	present := func(phase string) func(*api) {
		return func(a *api) {
			a.answers[namespace], a.answers[trial] = object{}, object{}
			a.answers[claim], a.answers[serviceKey], a.answers[daemonSetKey] = claimOf(phase, "20Gi"), loadBalancer(), object{}
			full(a, objects())
		}
	}
	larger := func(n *survey.Needs) { n.Database.VolumeBytes = 30 << 30 }
	for name, test := range map[string]struct {
		cluster       func(*api)
		needs         func(*survey.Needs)
		blocks, warns string
	}{
		"claim waits":    {cluster: present("Pending")},
		"claim is bound": {cluster: present("Bound")},
		"claim is lost":  {cluster: present("Lost")},
		"deployment as well": {cluster: func(a *api) {
			present("Bound")(a)
			a.answers[deployment] = object{}
			full(a, object{"count/deployments.apps": "1"})
		}},
		"growth": {
			cluster: present("Bound"), needs: larger,
			blocks: "leaves 0 of longhorn-iris.storageclass.storage.k8s.io/requests.storage (20Gi used of 20Gi), want 10Gi\nleaves 0 of requests.storage (20Gi used of 20Gi), want 10Gi",
		},
		"growth taken back": {
			cluster: func(a *api) {
				present("Bound")(a)
				c := claimOf("Bound", "20Gi")
				c["status"].(object)["allocatedResources"] = object{"storage": "30Gi"}
				a.answers[claim] = c
			},
			needs: larger,
		},
		"claim of another class": {
			cluster: func(a *api) {
				present("Bound")(a)
				c := claimOf("Bound", "20Gi")
				c["spec"].(object)["storageClassName"] = "slow"
				a.answers[claim] = c
				full(a, object{ofClass + "persistentvolumeclaims": "1"})
			},
			blocks: "leaves 0 of longhorn-iris.storageclass.storage.k8s.io/persistentvolumeclaims",
		},
		"no claim": {
			cluster: func(a *api) {
				present("Bound")(a)
				delete(a.answers, claim)
				full(a, object{"persistentvolumeclaims": "1"})
			},
			blocks: "leaves 0 of persistentvolumeclaims (1 used of 1), want 1",
		},
		"no service": {
			cluster: func(a *api) {
				present("Bound")(a)
				delete(a.answers, serviceKey)
				full(a, object{"services.loadbalancers": "1"})
			},
			blocks: "leaves 0 of services.loadbalancers (1 used of 1), want 1",
		},
		"service inside": {
			cluster: func(a *api) {
				present("Bound")(a)
				a.answers[serviceKey] = object{"spec": object{"type": "ClusterIP", "ports": []object{{}, {}}}}
				full(a, object{"services": "1", "services.nodeports": "2"})
			},
			blocks: "leaves 0 of services.nodeports (2 used of 2), want 2",
		},
		"service with node ports": {
			cluster: func(a *api) {
				present("Bound")(a)
				a.answers[serviceKey] = object{"spec": object{"type": "NodePort", "ports": []object{{}, {}}}}
				full(a, object{"services.nodeports": "2", "services.loadbalancers": "0"})
			},
			blocks: "leaves 0 of services.loadbalancers",
		},
		"service without node ports": {
			cluster: func(a *api) {
				present("Bound")(a)
				a.answers[serviceKey] = object{"spec": object{"type": "LoadBalancer", "allocateLoadBalancerNodePorts": false, "ports": []object{{}, {"nodePort": 1}}}}
				full(a, object{"services.nodeports": "2"})
			},
			blocks: "leaves 0 of services.nodeports (2 used of 2), want 1",
		},
		"pods beside it": {
			cluster: func(a *api) {
				present("Bound")(a)
				a.answers[quotas] = items(object{"metadata": object{"name": "team"}, "status": object{"hard": object{"pods": "4"}, "used": object{"pods": "3"}}})
			},
		},
		"no daemon set": {
			cluster: func(a *api) {
				present("Bound")(a)
				delete(a.answers, daemonSetKey)
				full(a, object{"count/daemonsets.apps": "1"})
			},
			blocks: "leaves 0 of count/daemonsets.apps",
		},
		"forbidden": {
			cluster: func(a *api) {
				present("Bound")(a)
				a.answers[serviceKey], a.answers[daemonSetKey], a.answers[claim] = failure{403, "no"}, failure{403, "no"}, failure{403, "no"}
			},
			warns: "could not look at its claim, its Service, its DaemonSet, and so did not check it",
		},
		"limit, claim waits": {
			cluster: func(a *api) {
				present("Pending")(a)
				bounds := object{"type": "PersistentVolumeClaim", "max": object{"storage": "10Gi"}}
				a.answers[limits] = items(object{"metadata": object{"name": "bounds"}, "spec": object{"limits": []object{bounds}}})
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, n := healthy(), named()
			test.cluster(a)
			if test.needs != nil {
				test.needs(&n)
			}
			found, err := look(t, a, n)
			if err != nil {
				t.Fatal(err)
			}
			expect(t, "blocking", found.Blocking, test.blocks)
			expect(t, "warnings", found.Warnings, test.warns)
		})
	}
}

// Most namespaces have no quota, and every preview pays for a question.
func TestQuotas_AreAskedForSparingly(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		hard object
		want []string
	}{
		"none":     {nil, nil},
		"services": {object{"services.nodeports": "9"}, []string{serviceKey}},
		"pods":     {object{"pods": "9"}, []string{daemonSetKey}},
		"others":   {object{"secrets": "9"}, nil},
	} {
		a := healthy()
		if test.hard != nil {
			a.answers[quotas] = items(object{"metadata": object{"name": "team"}, "status": object{"hard": test.hard, "used": object{}}})
		}
		if _, err := look(t, a, named()); err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{serviceKey, daemonSetKey} {
			if slices.Contains(a.asked, key) != slices.Contains(test.want, key) {
				t.Errorf("%s: asked %q", name, a.asked)
			}
		}
	}
}
