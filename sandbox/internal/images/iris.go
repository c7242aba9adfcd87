package images

import (
	"fmt"
	"os"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"ha-iris/sandbox/internal/irisstandin"
)

// The vendor's user and group, and where the installation lies (facts, iris.md 2.1).
const (
	irisOwner   = 51773
	irisInstall = "usr/irissys"
)

// irisPrograms is the layer with the stand-in's program under the vendor's names, tini before it (facts, iris.md 2.2), and the
// vendor's user.
func irisPrograms(b *builder) (tree, error) {
	t := tree{}
	t.dir("home/irisowner", 0o755, irisOwner)
	t.dir(irisInstall, 0o775, irisOwner)
	t.dir(irisInstall+"/bin", 0o775, irisOwner)
	if err := t.program(irisInstall+"/bin/iris-standin", b.program("iris-standin")); err != nil {
		return nil, err
	}
	if err := t.program("tini", b.program("pause")); err != nil {
		return nil, err
	}
	t.link("iris-main", "/"+irisInstall+"/bin/iris-standin")
	t.link("usr/bin/iris", "/"+irisInstall+"/bin/iris-standin")
	t.file("etc/passwd", 0o644, 0, fmt.Appendf(nil, "root:x:0:0:root:/root:/bin/sh\nirisowner:x:%d:%d::/home/irisowner:/bin/bash\n",
		irisOwner, irisOwner))
	t.file("etc/group", 0o644, 0, fmt.Appendf(nil, "root:x:0:\nirisowner:x:%d:\n", irisOwner))
	t.file("etc/os-release", 0o644, 0, []byte("ID=ha-iris-standin\nNAME=\"ha-iris' stand-in of an IRIS container; not InterSystems IRIS\"\n"))
	return t, nil
}

// irisInstallation is the layer with the files of an installation. All of them belong to the vendor's user, which runs
// everything (facts, iris.md 2.1).
func irisInstallation(version string, edition irisstandin.Edition) (tree, error) {
	dir, err := os.MkdirTemp("", "ha-iris-installation-")
	if err != nil {
		return nil, fmt.Errorf("make a directory for an installation: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := irisstandin.Install(dir, version, edition); err != nil {
		return nil, err
	}
	t := tree{}
	if err := t.add(irisInstall, dir, 0o775, 0o664, irisOwner); err != nil {
		return nil, fmt.Errorf("pack the installation: %w", err)
	}
	return t, nil
}

// irisConfig is the vendor's: entry point, ports and environment (facts, iris.md 2.1, 2.2, 2.8). The facts do not say whether
// the user is given by name or by number; a kubelet can tell only a number from root.
func irisConfig() v1.Config {
	return v1.Config{
		User:       fmt.Sprint(irisOwner),
		WorkingDir: "/home/irisowner",
		Entrypoint: []string{"/tini", "--", "/iris-main"},
		Env: []string{
			"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
			"ISC_PACKAGE_INSTANCENAME=IRIS", "ISC_PACKAGE_INSTALLDIR=/" + irisInstall,
			"ISC_PACKAGE_IRISUSER=irisowner", "ISC_PACKAGE_IRISGROUP=irisowner",
			"ISC_PACKAGE_MGRUSER=irisowner", "ISC_PACKAGE_MGRGROUP=irisowner",
		},
		ExposedPorts: map[string]struct{}{
			"1972/tcp": {}, "2188/tcp": {}, "4002/tcp": {}, "4002/udp": {}, "52773/tcp": {}, "53773/tcp": {}, "54773/tcp": {},
		},
	}
}
