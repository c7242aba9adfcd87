//go:build linux

package blockdev

import (
	"errors"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

const (
	fuseType = "longhorn-standin"
	// maxRequest is the most that the kernel asks for at once.
	maxRequest = fuse.MAX_KERNEL_WRITE
	// maxBackground is how many requests the loop device may have under way; FUSE's default of 12 is below its queue.
	maxBackground = 64
	// nameTimeout keeps the kernel from asking for the file's name again: nothing renames it.
	nameTimeout = 24 * time.Hour
	// fileNode is the file's number; the mount's root has fuse.FUSE_ROOT_ID.
	fileNode = fuse.FUSE_ROOT_ID + 1
)

// file is a filesystem of one file, whose size is the backend's. Nothing is cached in the kernel.
type file struct {
	fuse.RawFileSystem
	name    string
	backend Backend
}

func newFile(name string, backend Backend) *file {
	return &file{RawFileSystem: fuse.NewDefaultRawFileSystem(), name: name, backend: backend}
}

func (f *file) attributes(node uint64, out *fuse.Attr) fuse.Status {
	out.Ino, out.Nlink, out.Blksize = node, 1, 4096
	switch node {
	case fuse.FUSE_ROOT_ID:
		out.Mode = syscall.S_IFDIR | 0o700
	case fileNode:
		out.Mode = syscall.S_IFREG | 0o600
		out.Size = uint64(f.backend.Size())
	default:
		return fuse.ENOENT
	}
	return fuse.OK
}

func (f *file) Lookup(_ <-chan struct{}, header *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	if header.NodeId != fuse.FUSE_ROOT_ID || name != f.name {
		return fuse.ENOENT
	}
	out.NodeId = fileNode
	out.SetEntryTimeout(nameTimeout)
	return f.attributes(fileNode, &out.Attr)
}

func (f *file) GetAttr(_ <-chan struct{}, input *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	return f.attributes(input.NodeId, &out.Attr)
}

// SetAttr changes nothing. The loop device sets times only.
func (f *file) SetAttr(_ <-chan struct{}, input *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	return f.attributes(input.NodeId, &out.Attr)
}

func (f *file) Open(_ <-chan struct{}, _ *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	out.OpenFlags = fuse.FOPEN_DIRECT_IO | fuse.FOPEN_NOFLUSH | fuse.FOPEN_PARALLEL_DIRECT_WRITES
	return fuse.OK
}

func (f *file) Read(_ <-chan struct{}, input *fuse.ReadIn, data []byte) (fuse.ReadResult, fuse.Status) {
	size := f.backend.Size()
	offset := min(int64(input.Offset), size)
	length := min(int64(input.Size), size-offset)
	if _, err := f.backend.ReadAt(data[:length], offset); err != nil {
		return nil, status(err)
	}
	return fuse.ReadResultData(data[:length]), fuse.OK
}

func (f *file) Write(_ <-chan struct{}, input *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	written, err := f.backend.WriteAt(data, int64(input.Offset))
	return uint32(written), status(err)
}

func (f *file) Fsync(_ <-chan struct{}, _ *fuse.FsyncIn) fuse.Status {
	return status(f.backend.Flush())
}

// Fallocate is how the loop device discards.
func (f *file) Fallocate(_ <-chan struct{}, input *fuse.FallocateIn) fuse.Status {
	if input.Mode&(unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_ZERO_RANGE) == 0 {
		return fuse.Status(unix.EOPNOTSUPP)
	}
	return status(f.backend.Zero(int64(input.Offset), int64(input.Length)))
}

func (f *file) StatFs(_ <-chan struct{}, _ *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	out.Bsize, out.NameLen = 4096, 255
	return fuse.OK
}

func status(err error) fuse.Status {
	var number unix.Errno
	switch {
	case err == nil:
		return fuse.OK
	case errors.As(err, &number):
		return fuse.Status(number)
	default:
		return fuse.EIO
	}
}
