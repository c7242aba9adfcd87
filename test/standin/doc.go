// Package standin stands in for three clouds, so that a test can run a Pulumi program for AWS, Azure and Google Cloud on
// the real engine without an account, a plugin or a bill.
//
//	clouds, err := standin.Start(ctx, standin.Options{Kubeconfig: kubeconfig, CLIDir: bin})
//	...
//	command.Env = append(os.Environ(), clouds.Env()...) // pulumi up
//	clouds.FailNext("aws:eks/nodeGroup:NodeGroup", standin.Create, standin.Partial(errors.New("timeout")))
//	...
//	err = clouds.Journal().Ordered(standin.Delete, "aws:eks/nodeGroup:NodeGroup", "aws:eks/cluster:Cluster")
//
// Each cloud is a gRPC server of the engine's provider protocol on loopback, to which the engine attaches through
// PULUMI_DEBUG_PROVIDERS (Env). All engine runs of a test see the same clouds. Behind every cluster is one real API
// server, that of Options.Kubeconfig: AKS hands the kubeconfig out; EKS and GKE give its address and certificate
// authority, and the kubeconfig's credential plugins "aws" and "gke-gcloud-auth-plugin" are stand-ins too (InstallCLI),
// which count their calls and can refuse. With Options.Machines, node pools have machines there: Node objects that kwok
// simulates.
//
// # What is kept of the vendors' contracts
//
// Everything below follows the vendors' sources; the comment beside a rule names its origin.
//
//   - Inputs: missing, unknown and malformed ones fail Check, as with the provider's own schema. Types and functions that
//     are not modelled are refused; none is silently accepted.
//   - Names: made up, remembered, and made anew for a replacement as the providers do it, pulumi-terraform-bridge for AWS
//     and Google, azure-native for Azure. Whether a replacement is made before or after the deletion follows from that.
//   - Plans: which changes replace a resource and which are made in place; which outputs are unknown in the preview of a
//     create and of an update (azure-native knows far fewer than the bridge); lists that are sets; inputs that the cloud
//     decides when they are not given.
//   - References: what a resource needs must exist, and have what makes it work: roles their policies and trust, nodes
//     their routes, images and networking, service accounts their place. Nodes that could not join make the node group
//     fail after it exists. What is in use cannot be deleted, with the vendor's kind of message; what belongs to a
//     deleted resource goes along (Cascade in the journal). Deleted in the wrong order, EKS leaves network interfaces
//     behind, which then block the network.
//   - Versions: the vendors' range of autumn 2026, up only, one minor version at a time; a control plane first, its
//     nodes no later than that.
//   - Limits: AKS refuses to change an agent pool's disk or zones, a cluster without a system pool, two operations at once,
//     address ranges that overlap, and machines in a subnet where the cluster's identity has no role; GKE refuses to delete
//     a protected cluster, maintenance windows that are too short, and ordinary machines in AI zones, which it lists all
//     the same; EKS refuses user data that is not MIME multipart.
//   - Room: quotas of cores and disks (Options.Quotas), an update's surge included, and zones that have run out of machines
//     (RunOut).
//   - Machines, with Options.Machines: as many as a pool's size says, in its zones, with the vendors' labels and the pool's
//     own. A changed pool is rolled on them by cordons and the eviction API, whose disruption budgets are asked for as long
//     as the vendor asks them (scaled, Machines.Minute): EKS cordons all old nodes of a group, drains a few at a time and
//     gives up after 15 minutes, or deletes the pods if forced; GKE goes zone after zone, once for every call that Terraform
//     makes of the change, and after an hour deletes the node all the same; AKS reimages in place, so that a node keeps its
//     name and loses its disk, and gives up after the pool's drain timeout, to go on at the next update. A smaller
//     group of EKS takes any node in spite of budgets, and a deleted pool of GKE or AKS takes all its machines at once.
//     Auto-repair: Repair (GKE) and Reimage (AKS).
//     Every machine has a disk (annotation sandbox.ha-iris/disk): another text is an empty disk. The journal has each step.
//   - Failed updates: the engine's state has what was asked for, as the bridge keeps it, so that a second run sees no
//     difference; Read returns what the nodes really have.
//   - Failures: refused, half-way and lost calls (FailNext), slow ones (Delay), missing credentials (DenyCredentials).
//   - Secrets: marked where the provider's schema calls an output sensitive.
//
// # What is not
//
//   - Time: everything happens at once unless Delay says otherwise, and nothing is eventually consistent. What a provider
//     would retry for minutes, such as a role whose policy is not attached yet, is refused at once: a program that only
//     just wins such a race has a dependency missing.
//   - Nodes, without Options.Machines: counts, disks and machine types are remembered, and the API server has what it has.
//     With them: no autoscaler, no spot machines, no blue-green upgrades of GKE (an error), no minimal update strategy of
//     EKS, and no automatic upgrades but those that a test asks for (UpgradeNodeImages). Which of several nodes is next is
//     the vendors' chance and here always the one with most to lose. What the documents leave open is marked in the comments
//     as this stand-in's reading, the unkind one: what EKS does with the new nodes of a failed update, whether AKS drains a
//     pool that is deleted.
//   - Drift: an output that the vendor changes by itself and that a program would have to ignore is not simulated, and
//     Read returns the inputs that the engine sent. Remove takes a resource away behind the engine's back.
//   - Prices, permissions other than those named above, the NAT's effect on nodes, regions other than the handful whose zones matter, and every input that no rule here
//     looks at: those are stored and compared.
//   - More than one configuration of a provider at a time: the last one given counts.
//
// A new resource type is one entry in its cloud's table (kind.go says what an entry holds).
package standin
