package survey

import (
	"slices"
	"strings"
)

type class struct {
	Metadata             metadata `json:"metadata"`
	Provisioner          string   `json:"provisioner"`
	ReclaimPolicy        string   `json:"reclaimPolicy"`
	AllowVolumeExpansion bool     `json:"allowVolumeExpansion"`
}

// provisioners known for what a database cannot use. Each is a name or, with a leading dot, the end of one.
//
// Directories and disks of a node: the projects' own documents. Whether they know ReadWriteOncePod differs by version; those that
// are no CSI drivers need not (https://kubernetes.io/docs/concepts/storage/persistent-volumes/#access-modes).
func nodeLocal() []string {
	return []string{
		"rancher.io/local-path", "k8s.io/minikube-hostpath", "docker.io/hostpath", "microk8s.io/hostpath", "hostpath.csi.k8s.io",
		"openebs.io/local", "local.csi.openebs.io", "zfs.csi.openebs.io", "topolvm.io", "topolvm.cybozu.com", "lvm.csi.metal-stack.io",
		"kubernetes.io/no-provisioner", "kubernetes.io/host-path",
	}
}

// fileShares are network file systems, which IRIS does not support for its data (ADOCK 5.4.3).
func fileShares() []string {
	return []string{
		"nfs.csi.k8s.io", "efs.csi.aws.com", "file.csi.azure.com", "filestore.csi.storage.gke.io", "smb.csi.k8s.io",
		".cephfs.csi.ceph.com", ".nfs.csi.ceph.com", "kubernetes.io/azure-file", "kubernetes.io/glusterfs", ".nfs-subdir-external-provisioner",
	}
}

func isOneOf(name string, list []string) bool {
	return slices.ContainsFunc(list, func(one string) bool {
		return name == one || (strings.HasPrefix(one, ".") && strings.HasSuffix(name, one))
	})
}

// checkClass judges a class that this program does not make.
func checkClass(facts *facts, needs Needs, found *findings) {
	const key = "storage.className"
	if needs.Storage.Install || !facts.classes.known() {
		return
	}
	var names []string
	var chosen *class
	for i, one := range facts.classes.value.Items {
		names = append(names, one.Metadata.Name)
		if one.Metadata.Name == needs.Storage.ClassName {
			chosen = &facts.classes.value.Items[i]
		}
	}
	if chosen == nil {
		valid := "one of " + strings.Join(slices.Sorted(slices.Values(names)), ", ")
		if len(names) == 0 {
			valid = "a class that exists: the cluster has none; with storage.install true the program makes one"
		}
		found.list(!facts.hasVolume()).Add(key, needs.Storage.ClassName, valid)
		return
	}
	warnings := &found.warnings
	if !chosen.AllowVolumeExpansion {
		warnings.AddSecret(key, chosen.Metadata.Name+", whose volumes cannot grow (no allowVolumeExpansion)",
			"a class whose volumes can: a full one stops the database, and iris.size cannot be raised")
	}
	if chosen.ReclaimPolicy != "Retain" {
		warnings.AddSecret(key, chosen.Metadata.Name+", which deletes a volume with its claim (reclaimPolicy Delete)",
			"a class with reclaimPolicy Retain: whoever deletes the claim or its namespace deletes the data")
	}
	switch {
	case isOneOf(chosen.Provisioner, nodeLocal()):
		text := "replicated storage: the database starts on no other node, and is lost with this one"
		if needs.Database.OncePerPod {
			text += "; if the claim stays Pending, this storage does not know ReadWriteOncePod: iris.accessMode ReadWriteOnce"
		}
		warnings.AddSecret(key, chosen.Metadata.Name+", which keeps a volume on one node ("+chosen.Provisioner+")", text)
	case isOneOf(chosen.Provisioner, fileShares()):
		warnings.AddSecret(key, chosen.Metadata.Name+", which is a file share ("+chosen.Provisioner+")",
			"block storage: InterSystems does not support the database's files on a file share")
	case needs.Database.OncePerPod && strings.HasPrefix(chosen.Provisioner, "kubernetes.io/"):
		warnings.AddSecret("iris.accessMode", "ReadWriteOncePod with the provisioner "+chosen.Provisioner,
			"a class of a CSI driver, or ReadWriteOnce: only CSI drivers know ReadWriteOncePod")
	}
}
