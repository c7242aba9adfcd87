package storage

import (
	"context"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ha-iris/internal/guard"
	"ha-iris/internal/live"
	"ha-iris/internal/owner"
	"ha-iris/internal/problems"
	"ha-iris/internal/survey"
	"ha-iris/internal/traits"
)

// driver is one kind of storage that can be installed, with all that the rest of the program needs of it. A driver's own code is
// in files with its name as prefix, and only the table below refers to it; a test checks both. Every field is set.
type driver struct {
	// name is what messages call it.
	name string
	// defaults is the configuration of a stack that sets nothing.
	defaults func() Config
	// validate adds what is wrong with the driver's keys, and with a class name that the driver cannot have.
	validate func(Config, *problems.List)
	// validateBackup adds what is wrong with storage.backup and its login; refuseBackup for a driver that makes none.
	validateBackup func(Config, *problems.List)
	// checkRestore adds what is wrong with the URL of a backup, under the path of its key; refuseRestore for a driver that makes none.
	checkRestore func(path, backup string, found *problems.List)
	// validateOn adds what is wrong with them on nodes of this kind.
	validateOn func(Config, traits.Storage, *problems.List)
	// checkNodes adds what is wrong with them on so many nodes.
	checkNodes func(Config, int, *problems.List)
	// needs is what it asks of a cluster that exists already, besides the driver's name and the class.
	needs func(Config, traits.Storage) survey.Storage
	// checkSource refuses to make the class again for a backup that fills the first generation's claim when that claim is there; it runs
	// before anything is changed, in previews too. fillsNothing for a driver that fills none.
	checkSource func(ctx context.Context, args *Args) error
	// restoreAsks are the rights that filling volumes from backups and looking after old ones takes; asksNothing for a driver that fills none.
	restoreAsks func(Generations) []survey.Right
	// nodeLabels are on every node of the clusters that this program makes.
	nodeLabels map[string]string
	// usablePercent is how much of a node's disk the replicas of volumes may take.
	usablePercent func(traits.Storage) int
	// tooLarge is the smallest size in bytes that is too large for a volume, wantSmaller what is valid instead.
	tooLarge    int64
	wantSmaller string
	// part has the objects that show an installation by somebody else, and the advice for that case.
	part owner.Part
	// recorded are the values of its keys that are read only when a volume is created, as inputs of the component.
	recorded func(Config) pulumi.Map
	// checkChange refuses a change of these keys; it runs before anything is changed, in previews too.
	checkChange func(ctx context.Context, args *Args, before, after guard.Inputs) error
	// unhealthy returns a line for each volume with fewer healthy replicas than it should have, with the progress of its rebuild.
	unhealthy func(ctx context.Context, cluster *live.Cluster) ([]string, error)
	// leave asks for all replicas to be moved off nodes, and returns a line for each that is still there. It may be repeated.
	leave func(ctx context.Context, cluster *live.Cluster, nodes []string) ([]string, error)
	// provision installs it and makes the classes, with their guards. It returns the concrete resources without which a claim
	// would stay Pending.
	provision func(s *Storage, ctx *pulumi.Context, name string, args *Args) ([]pulumi.Resource, error)
}

// drivers is the table of drivers. The first is installed; no key of the configuration chooses another.
//
//nolint:gochecknoglobals // A literal table that nothing writes to; a function returning it would hide that.
var drivers = []driver{
	longhorn,
}

// driver returns the driver that is installed, or would be with storage.install.
func (c Config) driver() driver { return drivers[0] }
