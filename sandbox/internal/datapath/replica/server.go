//go:build linux

package replica

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"ha-iris/sandbox/internal/datapath/wire"
)

// inParallel bounds the requests of one engine that are worked on at once: FUSE has no more under way either.
const inParallel = 64

// Server is a replica's process. One engine opens it, once: another one, or the same after its connection broke, is refused
// until the process was restarted, as in Longhorn.
type Server struct {
	files    *Files
	listener net.Listener
	working  sync.WaitGroup

	mu     sync.Mutex
	closed bool
	opened bool
	conns  map[net.Conn]struct{}
}

// Serve starts to serve the files on the address; port 0 takes any.
func Serve(files *Files, address string) (*Server, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("serve replica: %w", err)
	}
	s := &Server{files: files, listener: listener, conns: map[net.Conn]struct{}{}}
	s.working.Go(s.accept)
	return s, nil
}

// Port is where it listens.
func (s *Server) Port() int {
	address, ok := s.listener.Addr().(*net.TCPAddr)
	if !ok {
		return 0
	}
	return address.Port
}

// Files are the replica's files.
func (s *Server) Files() *Files { return s.files }

// Opened says whether an engine has opened the replica since it was started, or Take has.
func (s *Server) Opened() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opened
}

// Close ends the process: the engine's connection breaks, the data stays.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	_ = s.listener.Close() // nothing is lost with it
	for conn := range s.conns {
		_ = conn.Close() // the same
	}
	s.mu.Unlock()
	s.working.Wait()
	return s.files.Close()
}

func (s *Server) accept() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		if s.closed {
			_ = conn.Close() // came too late
		} else {
			s.conns[conn] = struct{}{}
			s.working.Go(func() { s.serve(conn) })
		}
		s.mu.Unlock()
	}
}

func (s *Server) serve(conn net.Conn) {
	defer func() {
		_ = conn.Close() // the other side is gone, or is to go
		s.mu.Lock()
		delete(s.conns, conn)
		s.mu.Unlock()
	}()
	var answering sync.Mutex
	var under sync.WaitGroup
	defer under.Wait()
	slots := make(chan struct{}, inParallel)
	reader := bufio.NewReaderSize(conn, 256<<10)
	var may access
	for {
		request, err := wire.ReadRequest(reader)
		if err != nil {
			return
		}
		if request.Op == wire.Open || request.Op == wire.OpenSnapshot {
			data, err := s.grant(request, &may)
			answer(conn, &answering, request.ID, data, err)
			continue
		}
		slots <- struct{}{}
		granted := may
		under.Go(func() {
			defer func() { <-slots }()
			data, err := s.handle(request, granted)
			answer(conn, &answering, request.ID, data, err)
		})
	}
}

func answer(conn net.Conn, answering *sync.Mutex, id uint64, data []byte, err error) {
	response := &wire.Response{ID: id, Data: data}
	if err != nil {
		response.Error = err.Error()
	}
	answering.Lock()
	defer answering.Unlock()
	if wire.WriteResponse(conn, response) != nil {
		_ = conn.Close() // ends the reading of it too
	}
}

// access is what a connection may do: all that an engine does, or read one snapshot.
type access struct {
	all      bool
	snapshot string
}

func (a access) allows(r *wire.Request) bool {
	if a.all {
		return true
	}
	reads := r.Op == wire.Read || r.Op == wire.NextData || r.Op == wire.Hash
	return reads && r.Name != "" && r.Name == a.snapshot
}

// grant opens what the request asks for.
func (s *Server) grant(r *wire.Request, may *access) (data []byte, err error) {
	if r.Op == wire.OpenSnapshot {
		if data, err = s.openSnapshot(r.Name); err == nil {
			may.snapshot = r.Name
		}
		return data, err
	}
	if err = s.open(r); err == nil {
		may.all = true
	}
	return nil, err
}

// errOpen: one engine has the replica, or had it.
var errOpen = errors.New("replica is open: restart its process")

// Take reserves the replica for what fills it within this process. No engine opens it then before the process was restarted, and
// not even then unless what has filled it came to its end.
func (s *Server) Take() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.opened {
		return errOpen
	}
	if err := s.files.SetRebuilding(true); err != nil {
		return err
	}
	s.opened = true
	return nil
}

// openSnapshot describes a snapshot that can be read. Those of a replica that is being filled cannot: they still change.
func (s *Server) openSnapshot(name string) ([]byte, error) {
	meta := s.files.Meta()
	if meta.Rebuilding {
		return nil, errors.New("replica lacks data: its rebuild did not end")
	}
	for _, snapshot := range meta.Snapshots {
		if snapshot.Name == name {
			return json.Marshal(snapshot)
		}
	}
	return nil, fmt.Errorf("no snapshot %s", name)
}

func (s *Server) open(request *wire.Request) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.opened {
		return errOpen
	}
	rebuilding := request.Name == wire.Rebuilding
	if !rebuilding && s.files.Meta().Rebuilding {
		return errors.New("replica lacks data: its rebuild did not end")
	}
	if err := s.files.Grow(request.Length); err != nil {
		return err
	}
	if rebuilding {
		if err := s.files.SetRebuilding(true); err != nil {
			return err
		}
	}
	s.opened = true
	return nil
}

func (s *Server) handle(r *wire.Request, may access) ([]byte, error) {
	if !may.allows(r) {
		return nil, errors.New("replica is not open")
	}
	f := s.files
	switch r.Op {
	case wire.Ping:
		return nil, nil
	case wire.Read:
		return f.ReadAt(r.Name, r.Offset, r.Length)
	case wire.Write:
		return nil, f.WriteAt(r.Name, r.Offset, r.Data)
	case wire.Zero:
		return nil, f.Zero(r.Name, r.Offset, r.Length)
	case wire.Flush:
		return nil, f.Flush()
	case wire.Hash:
		return f.Hash(r.Name, r.Offset, r.Length)
	case wire.NextData:
		next, err := f.NextData(r.Name, r.Offset, r.Length)
		return binary.BigEndian.AppendUint64(nil, uint64(next)), err
	default:
		return s.change(r)
	}
}

// change handles what changes more than content.
func (s *Server) change(r *wire.Request) ([]byte, error) {
	f := s.files
	switch r.Op {
	case wire.Grow:
		return nil, f.Grow(r.Length)
	case wire.Snapshot:
		return nil, f.Snapshot(r.Name, time.Unix(0, r.Offset).UTC())
	case wire.AddSnapshot:
		var snapshot Snapshot
		if err := json.Unmarshal(r.Data, &snapshot); err != nil {
			return nil, fmt.Errorf("description of snapshot: %w", err)
		}
		return nil, f.AddSnapshot(snapshot)
	case wire.RemoveSnapshot:
		return nil, f.RemoveSnapshot(r.Name)
	case wire.Describe:
		return json.Marshal(f.Meta())
	case wire.Rebuilt:
		if err := f.Flush(); err != nil {
			return nil, err
		}
		return nil, f.SetRebuilding(false)
	default:
		return nil, fmt.Errorf("unknown request %d", r.Op)
	}
}
