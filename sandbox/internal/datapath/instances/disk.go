//go:build linux

package instances

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"ha-iris/sandbox/internal/datapath/imclient"
)

// stateDir is Longhorn's directory on every node, whatever the data path is.
const stateDir = "/var/lib/longhorn"

// ownerFile holds a node's identity. It lies on the node's own disk, so that it is the same after a restart, and another one in
// another lab on the same machine.
const ownerFile = ".standin-node"

// Owner returns the identity of the node whose root directory that is, and gives it one if it has none. What cleans up behind a
// node that is gone passes the directory that held its files.
func Owner(root string) (string, error) { return ownerIn(filepath.Join(root, stateDir)) }

func ownerIn(dir string) (string, error) {
	path := filepath.Join(dir, ownerFile)
	content, err := os.ReadFile(path)
	if err == nil && len(content) > 0 {
		return strings.TrimSpace(string(content)), nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("identity of the node: %w", err)
	}
	random := make([]byte, 6)
	if _, err := rand.Read(random); err != nil {
		return "", fmt.Errorf("identity of the node: %w", err)
	}
	owner := hex.EncodeToString(random)
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(path, []byte(owner), 0o644)); err != nil {
		return "", fmt.Errorf("identity of the node: %w", err)
	}
	return owner, nil
}

// ReadOwner returns the identity that the directory of a node's Longhorn data holds; empty if it has none.
func ReadOwner(longhornDir string) (string, error) {
	content, err := os.ReadFile(filepath.Join(longhornDir, ownerFile))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("identity of the node: %w", err)
	}
	return strings.TrimSpace(string(content)), nil
}

// diskConfig is what Longhorn keeps on each disk, under this name.
type diskConfig struct {
	Name string `json:"diskName"`
	UUID string `json:"diskUUID"`
}

const diskConfigName = "longhorn-disk.cfg"

// Disk looks at a disk, and gives it an identity if it has none.
func (m *Manager) Disk(directory string) (imclient.Disk, error) {
	if !filepath.IsAbs(directory) {
		return imclient.Disk{}, fmt.Errorf("%q is no disk", directory)
	}
	dir := filepath.Join(m.options.Root, directory)
	config, err := identify(dir)
	if err != nil {
		return imclient.Disk{}, fmt.Errorf("disk %s: %w", directory, err)
	}
	var space unix.Statfs_t
	if err := unix.Statfs(dir, &space); err != nil {
		return imclient.Disk{}, fmt.Errorf("disk %s: %w", directory, err)
	}
	disk := imclient.Disk{
		UUID: config.UUID, Total: int64(space.Blocks) * space.Bsize, Available: int64(space.Bavail) * space.Bsize, Replicas: []string{},
	}
	entries, err := os.ReadDir(filepath.Join(dir, "replicas"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return imclient.Disk{}, fmt.Errorf("disk %s: %w", directory, err)
	}
	for _, entry := range entries {
		disk.Replicas = append(disk.Replicas, entry.Name())
	}
	return disk, nil
}

func identify(dir string) (diskConfig, error) {
	var config diskConfig
	path := filepath.Join(dir, diskConfigName)
	content, err := os.ReadFile(path)
	if err == nil {
		return config, json.Unmarshal(content, &config)
	}
	if !errors.Is(err, os.ErrNotExist) {
		return config, err
	}
	config.UUID = uuid.NewString()
	config.Name = "default-disk-" + config.UUID[:8]
	content, err = json.Marshal(config)
	if err != nil {
		return config, err
	}
	return config, errors.Join(os.MkdirAll(filepath.Join(dir, "replicas"), 0o755), os.WriteFile(path, content, 0o644))
}
