package standin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"ha-iris/internal/live"
)

// Machines makes node pools have machines: Node objects in the API server of Options.Kubeconfig, which kwok simulates.
// They follow the pool's size and are rolled, reimaged and repaired as the vendor does it.
type Machines struct {
	// Minute is how long one minute of the vendors' time limits takes: EKS drains a node for 15 of them, GKE for 60, AKS
	// for its pool's drainTimeoutInMinutes. Default: a second.
	Minute time.Duration
	// Settle is how long a vendor that has emptied a node waits at least, in real time, before it ends the node: EKS a minute,
	// in which Longhorn attaches what has moved, and Longhorn's time is not scaled. Default: none.
	Settle time.Duration
	// Step is the pause before each step with a machine, such as its boot and its end. Default: none.
	Step time.Duration
	// Retry is how long an eviction that a disruption budget refused waits, and how often the API server is asked whether
	// something came about. Default: 200 ms.
	Retry time.Duration
}

const (
	// diskAnnotation stands for a machine's disk: the same text is the same disk with its content.
	diskAnnotation = "sandbox.ha-iris/disk"
	// bootTimeout is how long a Node may take to become Ready. It is real time: kwok needs about a second, and more beside
	// other tests.
	bootTimeout = 2 * time.Minute
)

// machine is one machine of a node pool.
type machine struct {
	name, uid, pool, zone string
	// built is what the machine was made from. A machine that was made from something else than its pool says now is
	// outdated.
	built string
	// surge says that the machine is there for the time of an upgrade only.
	surge bool
}

// pool is what a node pool makes its machines from.
type pool struct {
	// The node pool's resource.
	typ, id, urn string
	// name is what the vendor calls the pool.
	name, region string
	// places are the zones of the machines, one entry for each.
	places []string
	// instance is the machine type and diskGB the size of the disk that pods may write to.
	instance string
	diskGB   int
	version  string
	labels   map[string]string
	taints   []any
	built    string
	// nameOf makes up the name of machine number n.
	nameOf func(zone string, n int) string
}

func (p pool) logical() string { return (&object{urn: p.urn}).logical() }

// zones are the pool's zones, in order.
func (p pool) zones() []string { return unique(slices.Clone(p.places)) }

// want is how many machines a zone is to have.
func (p pool) want(zone string) int {
	n := 0
	for _, place := range p.places {
		if place == zone {
			n++
		}
	}
	return n
}

// fleet is all machines of a test's clouds.
type fleet struct {
	clouds  *Clouds
	options Machines
	api     live.Cluster

	mu       sync.Mutex
	machines []*machine
	made     int
	// pools is how each pool made its machines last.
	pools map[string]pool
}

func newFleet(c *Clouds, options Machines) *fleet {
	options.Minute = cmp.Or(options.Minute, time.Second)
	options.Retry = cmp.Or(options.Retry, 200*time.Millisecond)
	return &fleet{clouds: c, options: options, pools: map[string]pool{}}
}

// minutes is a time limit of a vendor, scaled.
func (f *fleet) minutes(n int) time.Duration { return time.Duration(n) * f.options.Minute }

// of returns a pool's machines, oldest first.
func (f *fleet) of(pool string) []*machine {
	f.mu.Lock()
	defer f.mu.Unlock()
	var found []*machine
	for _, m := range f.machines {
		if m.pool == pool {
			found = append(found, m)
		}
	}
	return found
}

// outdated returns a pool's machines that were made from something else than the pool says now.
func (f *fleet) outdated(p pool) []*machine {
	return slices.DeleteFunc(f.of(p.id), func(m *machine) bool { return m.built == p.built })
}

// in returns those of the machines that are in a zone.
func in(zone string, machines []*machine) []*machine {
	return slices.DeleteFunc(slices.Clone(machines), func(m *machine) bool { return m.zone != zone })
}

// find returns a machine and how its pool made it last.
func (f *fleet) find(node string) (*machine, pool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range f.machines {
		if m.name == node {
			return m, f.pools[m.pool], nil
		}
	}
	return nil, pool{}, fmt.Errorf("node %s is not a machine of any node pool", node)
}

// settle remembers how a pool makes its machines from now on.
func (f *fleet) settle(p pool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pools[p.id] = p
}

// number gives out numbers for names, addresses and disks.
func (f *fleet) number() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.made++
	return f.made
}

// event keeps a step with a machine in the journal.
func (f *fleet) event(op Op, p pool, m *machine, step func() error) error {
	entry := f.clouds.begin(Entry{
		Op: op, Type: p.typ, Name: p.logical(), URN: p.urn, ID: p.id, Pool: p.name, Node: m.name,
		Zone: m.zone,
	})
	err := step()
	f.clouds.end(entry, err)
	return err
}

// add makes a machine and waits until its node is ready.
func (f *fleet) add(ctx context.Context, p pool, zone string, surge bool) (*machine, error) {
	n := f.number()
	return f.boot(ctx, p, &machine{name: p.nameOf(zone, n), pool: p.id, zone: zone, surge: surge}, n)
}

func (f *fleet) boot(ctx context.Context, p pool, m *machine, n int) (*machine, error) {
	m.built = p.built
	err := f.event(NodeAdded, p, m, func() error {
		if err := f.pause(ctx, f.options.Step); err != nil {
			return err
		}
		uid, err := f.createNode(ctx, p, m, n)
		if err != nil {
			return err
		}
		m.uid = uid
		f.mu.Lock()
		f.machines = append(f.machines, m)
		f.mu.Unlock()
		return f.awaitReady(ctx, m.name)
	})
	return m, err
}

// addAll makes machines at the same time.
func (f *fleet) addAll(ctx context.Context, p pool, places []string, surge bool) error {
	return together(places, func(zone string) error {
		_, err := f.add(ctx, p, zone, surge)
		return err
	})
}

// end takes a machine away, with its disk and whatever runs on it.
func (f *fleet) end(ctx context.Context, p pool, m *machine) error {
	return f.event(NodeDeleted, p, m, func() error {
		if err := f.pause(ctx, f.options.Step); err != nil {
			return err
		}
		if err := f.deleteNode(ctx, m); err != nil {
			return err
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		f.machines = slices.DeleteFunc(f.machines, func(other *machine) bool { return other == m })
		return nil
	})
}

// endAll takes machines away at the same time.
func (f *fleet) endAll(ctx context.Context, p pool, machines []*machine) error {
	return together(machines, func(m *machine) error { return f.end(ctx, p, m) })
}

// cordon keeps new pods off a node.
func (f *fleet) cordon(ctx context.Context, p pool, m *machine, labels map[string]any) error {
	return f.event(NodeCordoned, p, m, func() error {
		return f.schedulable(ctx, m, labels, true)
	})
}

func (f *fleet) uncordon(ctx context.Context, m *machine, labels map[string]any) error {
	return f.schedulable(ctx, m, labels, nil)
}

func (f *fleet) schedulable(ctx context.Context, m *machine, labels map[string]any, cordoned any) error {
	patch := map[string]any{"spec": map[string]any{"unschedulable": cordoned}}
	if labels != nil { // As null it would take all labels away.
		patch["metadata"] = map[string]any{"labels": labels}
	}
	return f.patchNode(ctx, m, patch)
}

// reimage gives a machine an empty disk and what its pool says now; its name stays.
func (f *fleet) reimage(ctx context.Context, p pool, m *machine) error {
	return f.event(NodeReimaged, p, m, func() error {
		if err := f.pause(ctx, f.options.Step); err != nil {
			return err
		}
		f.rebuilt(m, p)
		return errors.Join(f.patchNode(ctx, m, map[string]any{
			"metadata": map[string]any{"annotations": map[string]any{diskAnnotation: diskName(f.number())}},
		}), f.patchStatus(ctx, m, map[string]any{"nodeInfo": map[string]any{"kubeletVersion": "v" + p.version}}))
	})
}

func (f *fleet) rebuilt(m *machine, p pool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	m.built = p.built
}

// shrink lists what a pool has too many of in each zone, the machines that pick chooses.
func (f *fleet) shrink(p pool, pick func([]*machine, int) []*machine) []*machine {
	var ending []*machine
	all := f.of(p.id)
	zones := p.zones()
	for _, m := range all {
		zones = append(zones, m.zone)
	}
	for _, zone := range unique(zones) {
		there := in(zone, all)
		if surplus := len(there) - p.want(zone); surplus > 0 {
			ending = append(ending, pick(there, surplus)...)
		}
	}
	return ending
}

// grow lists the places where a pool has too few machines.
func (f *fleet) grow(p pool) []string {
	var places []string
	all := f.of(p.id)
	for _, zone := range p.zones() {
		for range p.want(zone) - len(in(zone, all)) {
			places = append(places, zone)
		}
	}
	return places
}

func oldest(machines []*machine, n int) []*machine { return machines[:n] }
func newest(machines []*machine, n int) []*machine { return machines[len(machines)-n:] }

func diskName(n int) string { return fmt.Sprintf("disk-%d", n) }

// pause waits out a step.
func (f *fleet) pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// together does something with everything at the same time and returns the first error by order.
func together[T any](things []T, do func(T) error) error {
	errs := make([]error, len(things))
	var all sync.WaitGroup
	for i, thing := range things {
		all.Go(func() { errs[i] = do(thing) })
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// spread distributes n machines over zones, the first zones getting one more when it does not work out even.
func spread(zones []string, n int) []string {
	places := make([]string, 0, n)
	for i := range n {
		places = append(places, zones[i%len(zones)])
	}
	return places
}

// textLabels are the labels in a pool's inputs.
func textLabels(in fields, path string) map[string]string {
	labels := map[string]string{}
	given, _ := in.get(path).(map[string]any)
	for key, value := range given {
		if text, ok := value.(string); ok {
			labels[key] = text
		}
	}
	return labels
}

// placesOf are the zones that a pool's machines are in, as its size was before.
func (f *fleet) placesOf(id string) []string { return f.last(id).places }

// last is how a pool made its machines last.
func (f *fleet) last(id string) pool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.pools[id]
}

// relabel brings the labels and taints of a pool's machines up to date.
func (f *fleet) relabel(ctx context.Context, p pool) error {
	was := f.last(p.id)
	labels := map[string]any{}
	for key := range was.labels {
		labels[key] = nil
	}
	for key, value := range p.labels {
		labels[key] = value
	}
	if reflect.DeepEqual(was.labels, p.labels) && reflect.DeepEqual(was.taints, p.taints) {
		return nil
	}
	f.settle(p)
	return together(f.of(p.id), func(m *machine) error {
		return f.patchNode(ctx, m, map[string]any{
			"metadata": map[string]any{"labels": labels}, "spec": map[string]any{"taints": p.taints},
		})
	})
}

// machineOf finds a machine of a type of node pool.
func (c *Clouds) machineOf(node string, types ...string) (*fleet, *machine, pool, error) {
	if c.fleet == nil {
		return nil, nil, pool{}, errors.New("node pools have no machines without Options.Machines")
	}
	m, p, err := c.fleet.find(node)
	if err == nil && !slices.Contains(types, p.typ) {
		err = fmt.Errorf("node %s belongs to a %s", node, p.typ)
	}
	return c.fleet, m, p, err
}

// lowerHash is a short text that depends on another.
func lowerHash(text string, n int) string {
	w := world{}
	return strings.ToLower(w.newID(text, n)[len(text):])
}
