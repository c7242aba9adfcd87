// Package wire is what an engine and a replica say to each other over TCP: requests that may overtake each other, each with
// an answer. It plays the part of longhorn-engine's data connection, not its format.
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
)

// Op is what a request asks for.
type Op uint8

// What an engine asks of a replica. Name is empty for the volume's current content, else a snapshot's.
const (
	// Open makes the connection the replica's only one. Length is the volume's size, Name is Rebuilding or empty.
	Open Op = iota + 1
	// Ping asks for an answer only.
	Ping
	// Read answers Length bytes from Offset.
	Read
	// Write stores Data at Offset.
	Write
	// Zero makes a hole of Length bytes at Offset.
	Zero
	// Flush answers once everything that was answered before is on the disk.
	Flush
	// Grow sets the size to Length.
	Grow
	// NextData answers the offset of the next data from Offset on, at most Length further, as 8 bytes.
	NextData
	// Hash answers the SHA-256 of Length bytes from Offset.
	Hash
	// Snapshot keeps the current content as Name.
	Snapshot
	// AddSnapshot makes an empty snapshot while the replica is rebuilt; Data is its description.
	AddSnapshot
	// RemoveSnapshot removes Name.
	RemoveSnapshot
	// Describe answers the replica's metadata as JSON.
	Describe
	// Rebuilt says that the replica has all data now.
	Rebuilt
	// OpenSnapshot lets the connection read the snapshot Name and nothing else, and answers its description as JSON. Any number of
	// connections may, and the engine that has the replica open does not notice.
	OpenSnapshot
)

// Rebuilding is Open's Name for a replica that is to be filled.
const Rebuilding = "rebuilding"

// maxData bounds a frame, so that a stranger who connects cannot make us allocate what he likes.
const maxData = 4 << 20

// Request is one request.
type Request struct {
	ID             uint64
	Op             Op
	Offset, Length int64
	Name           string
	Data           []byte
}

// Response is the answer to the request of the same ID. Error is empty if it succeeded.
type Response struct {
	ID    uint64
	Error string
	Data  []byte
}

var errFrame = errors.New("not a frame of the data path")

const (
	requestHeader  = 8 + 1 + 8 + 8 + 2 + 4
	responseHeader = 8 + 2 + 4
)

// WriteRequest sends a request.
func WriteRequest(w io.Writer, r *Request) error {
	if len(r.Data) > maxData || len(r.Name) > 1<<16-1 {
		return fmt.Errorf("request of %d bytes: %w", len(r.Data), errFrame)
	}
	head := make([]byte, requestHeader, requestHeader+len(r.Name))
	binary.BigEndian.PutUint64(head, r.ID)
	head[8] = byte(r.Op)
	binary.BigEndian.PutUint64(head[9:], uint64(r.Offset))
	binary.BigEndian.PutUint64(head[17:], uint64(r.Length))
	binary.BigEndian.PutUint16(head[25:], uint16(len(r.Name)))
	binary.BigEndian.PutUint32(head[27:], uint32(len(r.Data)))
	return send(w, append(head, r.Name...), r.Data)
}

// ReadRequest receives a request.
func ReadRequest(r io.Reader) (*Request, error) {
	head := make([]byte, requestHeader)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	request := &Request{
		ID: binary.BigEndian.Uint64(head), Op: Op(head[8]),
		Offset: int64(binary.BigEndian.Uint64(head[9:])), Length: int64(binary.BigEndian.Uint64(head[17:])),
	}
	name, data, err := receive(r, binary.BigEndian.Uint16(head[25:]), binary.BigEndian.Uint32(head[27:]))
	request.Name, request.Data = name, data
	return request, err
}

// WriteResponse sends an answer.
func WriteResponse(w io.Writer, r *Response) error {
	text := r.Error
	if len(text) > 1<<15 {
		text = text[:1<<15]
	}
	head := make([]byte, responseHeader, responseHeader+len(text))
	binary.BigEndian.PutUint64(head, r.ID)
	binary.BigEndian.PutUint16(head[8:], uint16(len(text)))
	binary.BigEndian.PutUint32(head[10:], uint32(len(r.Data)))
	return send(w, append(head, text...), r.Data)
}

// ReadResponse receives an answer.
func ReadResponse(r io.Reader) (*Response, error) {
	head := make([]byte, responseHeader)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	text, data, err := receive(r, binary.BigEndian.Uint16(head[8:]), binary.BigEndian.Uint32(head[10:]))
	return &Response{ID: binary.BigEndian.Uint64(head), Error: text, Data: data}, err
}

func send(w io.Writer, head, data []byte) error {
	buffers := net.Buffers{head, data}
	_, err := buffers.WriteTo(w)
	return err
}

func receive(r io.Reader, textLength uint16, dataLength uint32) (string, []byte, error) {
	if dataLength > maxData {
		return "", nil, fmt.Errorf("%d bytes: %w", dataLength, errFrame)
	}
	body := make([]byte, int(textLength)+int(dataLength))
	if _, err := io.ReadFull(r, body); err != nil {
		return "", nil, err
	}
	return string(body[:textLength]), body[textLength:], nil
}
