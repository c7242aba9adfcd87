package irisstandin

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

const databaseFile = "IRIS.DAT"

// database is a directory's globals, whole in memory; a file as long as a checkpoint ago.
type database struct {
	dir      string
	nodes    map[string]string
	size     int64
	seq      uint64 // The last change that the file has.
	dirty    bool
	writable bool
}

type databaseHeader struct {
	Seq uint64 `json:"seq"`
	Sum string `json:"sum"`
}

func (d *database) path() string { return filepath.Join(d.dir, databaseFile) }

// put changes one node, or removes it. It returns what was there.
func (d *database) put(key string, value *string) (old *string) {
	if was, found := d.nodes[key]; found {
		old = &was
		d.size -= int64(len(key) + len(was))
	}
	if value == nil {
		delete(d.nodes, key)
	} else {
		d.nodes[key] = *value
		d.size += int64(len(key) + len(*value))
	}
	d.dirty = true
	return old
}

// image is the file's content: a header with a checksum, then the nodes in order.
func (d *database) image(seq uint64) ([]byte, error) {
	keys := make([]string, 0, len(d.nodes))
	for key := range d.nodes {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	var body bytes.Buffer
	lines := json.NewEncoder(&body)
	for _, key := range keys {
		if err := lines.Encode([2][]byte{[]byte(key), []byte(d.nodes[key])}); err != nil {
			return nil, err
		}
	}
	sum := sha256.Sum256(body.Bytes())
	header, err := json.Marshal(databaseHeader{seq, hex.EncodeToString(sum[:])})
	if err != nil {
		return nil, err
	}
	return slices.Concat(header, []byte("\n"), body.Bytes()), nil
}

var errMismatch = errors.New("the database's blocks do not fit together")

// load reads the file; an empty one is a database without globals.
func (d *database) load() error {
	content, err := os.ReadFile(d.path())
	if err != nil {
		return fmt.Errorf("read the database: %w", err)
	}
	d.nodes, d.size, d.seq = map[string]string{}, 0, 0
	if len(content) == 0 {
		return nil
	}
	first, body, _ := bytes.Cut(content, []byte("\n"))
	var header databaseHeader
	sum := sha256.Sum256(body)
	if err := json.Unmarshal(first, &header); err != nil || header.Sum != hex.EncodeToString(sum[:]) {
		return fmt.Errorf("%s: %w", d.path(), errMismatch)
	}
	lines := bufio.NewScanner(bytes.NewReader(body))
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var node [2][]byte
		if err := json.Unmarshal(lines.Bytes(), &node); err != nil {
			return fmt.Errorf("%s: %w", d.path(), errMismatch)
		}
		value := string(node[1])
		d.put(string(node[0]), &value)
	}
	d.seq, d.dirty = header.Seq, false
	return lines.Err()
}

// wij is the write image journal: what is about to be written to the databases, whole, so that a crash in between can be
// mended at the next start (facts 5.2).
type wij struct {
	Images map[string][]byte `json:"images"` // By the path of the database file.
}

func writeWIJ(path string, images map[string][]byte) error {
	content, err := json.Marshal(wij{images})
	if err != nil {
		return err
	}
	sum := sha256.Sum256(content)
	return writeSynced(path, slices.Concat([]byte(hex.EncodeToString(sum[:])), []byte("\n"), content))
}

// restoreWIJ writes the images again if the WIJ is complete; an incomplete one is from before the databases were touched.
func restoreWIJ(path string) (restored int, err error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return 0, fmt.Errorf("read the WIJ: %w", err)
	}
	sum, body, _ := bytes.Cut(content, []byte("\n"))
	computed := sha256.Sum256(body)
	if string(sum) != hex.EncodeToString(computed[:]) {
		return 0, nil
	}
	var found wij
	if err := json.Unmarshal(body, &found); err != nil {
		return 0, fmt.Errorf("read the WIJ: %w", err)
	}
	for target, image := range found.Images {
		if err := writeSynced(target, image); err != nil {
			return restored, fmt.Errorf("restore from the WIJ: %w", err)
		}
		restored++
	}
	return restored, nil
}
