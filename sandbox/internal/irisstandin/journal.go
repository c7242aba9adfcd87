package irisstandin

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// record is one line of the journal: a change with what was there before, or the end of a transaction.
type record struct {
	Seq   uint64  `json:"seq"`
	Kind  string  `json:"kind"`
	Tx    uint64  `json:"tx,omitempty"` // 0: outside of a transaction.
	DB    string  `json:"db,omitempty"`
	Key   []byte  `json:"key,omitempty"`
	Value *string `json:"value,omitempty"`
	Old   *string `json:"old,omitempty"`
}

const (
	kindSet      = "set"
	kindKill     = "kill"
	kindCommit   = "commit"
	kindRollback = "rollback"
)

// journal is the file that is written now. Only the flusher touches it.
type journal struct {
	dir    string
	file   *os.File
	offset int64
}

func encodeRecord(r record) ([]byte, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "%08x %s\n", crc32.ChecksumIEEE(text), text), nil
}

func decodeRecord(line string) (record, bool) {
	var r record
	sum, text, found := strings.Cut(line, " ")
	if !found || fmt.Sprintf("%08x", crc32.ChecksumIEEE([]byte(text))) != sum {
		return r, false
	}
	return r, json.Unmarshal([]byte(text), &r) == nil
}

// switchFile begins a new file, named as IRIS names them: the date and a number.
func (j *journal) switchFile() error {
	if err := os.MkdirAll(j.dir, 0o775); err != nil {
		return fmt.Errorf("make the journal directory: %w", err)
	}
	for i := 1; ; i++ {
		path := filepath.Join(j.dir, fmt.Sprintf("%s.%03d", time.Now().Format("20060102"), i))
		file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o664)
		if errors.Is(err, os.ErrExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("make a journal file: %w", err)
		}
		if j.file != nil {
			_ = j.file.Close()
		}
		j.file, j.offset = file, 0
		return syncDirectory(j.dir)
	}
}

// write puts bytes behind the last that were known to be on disk, and waits for the disk.
func (j *journal) write(content []byte) error {
	if _, err := j.file.WriteAt(content, j.offset); err != nil {
		return err
	}
	if err := j.file.Sync(); err != nil {
		return err
	}
	j.offset += int64(len(content))
	return nil
}

func journalFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	var files []string
	for _, entry := range entries {
		if name := entry.Name(); len(name) > 8 && name[8] == '.' {
			files = append(files, filepath.Join(dir, name))
		}
	}
	slices.Sort(files)
	return files, err
}

// readJournal returns the records of all files. What was being written at a crash ends a file; damage before good
// records is an error, which leads to single-user mode (facts 5.2).
func readJournal(dir string) ([]record, error) {
	files, err := journalFiles(dir)
	if err != nil {
		return nil, err
	}
	var records []record
	for _, path := range files {
		found, err := readJournalFile(path)
		if err != nil {
			return nil, err
		}
		records = append(records, found...)
	}
	slices.SortStableFunc(records, func(a, b record) int { return int(int64(a.Seq - b.Seq)) }) //nolint:gosec // Differences are small.
	return records, nil
}

func readJournalFile(path string) ([]record, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	var records []record
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 64<<20)
	damaged := 0
	for i := 1; lines.Scan(); i++ {
		r, ok := decodeRecord(lines.Text())
		switch {
		case !ok && damaged == 0:
			damaged = i
		case ok && damaged > 0:
			return nil, fmt.Errorf("journal %s is damaged in line %d", path, damaged)
		case ok:
			records = append(records, r)
		}
	}
	return records, lines.Err()
}

// purgeJournal deletes files older than DaysBeforePurge (facts 3.2). The caller has a checkpoint behind them.
func purgeJournal(dir string, days int) error {
	files, err := journalFiles(dir)
	if err != nil || days <= 0 {
		return err
	}
	for _, path := range files {
		info, err := os.Stat(path)
		if err == nil && time.Since(info.ModTime()) > time.Duration(days)*24*time.Hour {
			err = os.Remove(path)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
