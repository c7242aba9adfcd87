//go:build linux

package instances

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net"

	"ha-iris/sandbox/internal/datapath/imclient"
	"ha-iris/sandbox/internal/datapath/replica"
	"ha-iris/sandbox/internal/datapath/wire"
)

const (
	// cloneChunk is what is read at once, as in a rebuild (engine/rebuild.go).
	cloneChunk = 1 << 20
	// cloneBlock is how fine holes are: a block of the filesystem that the files are on.
	cloneBlock = 4096
)

// Clone fills a replica from a snapshot of another volume's replica, which it reads over the network, wherever that one is. Neither has
// to be told: the replica is reserved, so that no engine opens it, and a snapshot does not change. Asking again while the replica's
// process runs starts nothing; after a failure the process has to be restarted.
func (m *Manager) Clone(name string, request imclient.Clone) (imclient.Task, error) {
	r, err := m.replica(name)
	if err != nil {
		return imclient.Task{}, err
	}
	_, _, err = net.SplitHostPort(request.Address)
	if err != nil || !replica.ValidName(request.Snapshot) {
		return imclient.Task{}, fmt.Errorf("%q at %q is no snapshot of a replica", request.Snapshot, request.Address)
	}
	if request.ReplicaTimeout == 0 {
		request.ReplicaTimeout = defaultTimeout
	}
	id := "clone/" + name + "/" + request.Snapshot + "/" + r.id
	if known, err := m.Task(id); err == nil {
		return known, nil
	}
	if err := r.Take(); err != nil {
		return imclient.Task{}, err
	}
	return m.task(id, func(ctx context.Context, progress func(int)) error {
		if err := clone(ctx, request, r.Files(), progress); err != nil {
			return fmt.Errorf("clone snapshot %s of the replica at %s: %w", request.Snapshot, request.Address, err)
		}
		return r.Files().SetRebuilding(false)
	}), nil
}

// clone makes the files' content the snapshot's, and puts it on the disk.
func clone(ctx context.Context, request imclient.Clone, target *replica.Files, progress func(int)) error {
	source, err := wire.Dial(ctx, request.Address, request.ReplicaTimeout)
	if err != nil {
		return err
	}
	defer source.Close()
	defer context.AfterFunc(ctx, source.Close)()
	open := wire.Request{Op: wire.OpenSnapshot, Name: request.Snapshot}
	before, err := source.Do(open)
	if err != nil {
		return err
	}
	var snapshot replica.Snapshot
	if err := json.Unmarshal(before, &snapshot); err != nil {
		return fmt.Errorf("description of snapshot: %w", err)
	}
	size := target.Meta().Size
	if snapshot.Size > size {
		return fmt.Errorf("it has %d bytes, which are more than the replica's %d", snapshot.Size, size)
	}
	for offset := int64(0); offset < snapshot.Size; {
		if offset, err = cloneStep(source, snapshot, target, offset); err != nil {
			return err
		}
		progress(int(min(99, offset*100/snapshot.Size)))
	}
	// The volume has grown since the snapshot.
	if err := target.Zero("", snapshot.Size, size-snapshot.Size); err != nil {
		return err
	}
	// It has to be the same one to the end: the next one of its name could have another content.
	after, err := source.Do(open)
	if err != nil {
		return err
	}
	if !bytes.Equal(before, after) {
		return errors.New("it was removed and made anew meanwhile")
	}
	return target.Flush()
}

// cloneStep copies the next range, which is a hole or at most one chunk, and returns where to go on.
func cloneStep(source *wire.Client, snapshot replica.Snapshot, target *replica.Files, offset int64) (next int64, err error) {
	left := snapshot.Size - offset
	answer, err := source.Do(wire.Request{Op: wire.NextData, Name: snapshot.Name, Offset: offset, Length: left})
	if err != nil {
		return 0, err
	}
	if len(answer) != 8 {
		return 0, errAnswer
	}
	if data := int64(binary.BigEndian.Uint64(answer)); data > offset {
		return data, target.Zero("", offset, data-offset)
	}
	length := min(cloneChunk, left)
	content, err := source.Do(wire.Request{Op: wire.Read, Name: snapshot.Name, Offset: offset, Length: length})
	if err != nil {
		return 0, err
	}
	if int64(len(content)) != length {
		return 0, errAnswer
	}
	return offset + length, store(target, offset, content)
}

var errAnswer = errors.New("answer of the wrong length")

// store writes what is not zeros and makes holes of the rest: a chunk's holes stay holes, and what an earlier attempt has left goes.
func store(target *replica.Files, offset int64, content []byte) error {
	for len(content) > 0 {
		empty := zeros(content[:min(cloneBlock, len(content))])
		length := 0
		for length < len(content) {
			block := content[length:min(length+cloneBlock, len(content))]
			if zeros(block) != empty {
				break
			}
			length += len(block)
		}
		var err error
		if empty {
			err = target.Zero("", offset, int64(length))
		} else {
			err = target.WriteAt("", offset, content[:length])
		}
		if err != nil {
			return err
		}
		offset, content = offset+int64(length), content[length:]
	}
	return nil
}

func zeros(data []byte) bool {
	for _, one := range data {
		if one != 0 {
			return false
		}
	}
	return true
}
