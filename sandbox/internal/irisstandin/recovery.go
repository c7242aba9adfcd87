package irisstandin

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// recovered is what a start after a crash did, for messages.log.
type recovered struct{ restored, applied, rolledBack int }

// restore is the first step after a crash: what the WIJ has is written to the databases again.
func restore(wijPath string) (int, error) {
	restored, err := restoreWIJ(wijPath)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil // As a restore from a backup of the databases only would have it.
	}
	return restored, err
}

// mismatch names the file that IRIS leaves when the databases do not fit (facts 5.2).
func mismatch(mgr string) string { return filepath.Join(mgr, "MISMATCH.WIJ") }

// rollForward applies the journal to the databases and takes back what was not committed (facts 5.2).
func (s *store) rollForward() (recovered, error) {
	var done recovered
	records, err := readJournal(s.opts.journalDir)
	if err != nil {
		return done, fmt.Errorf("journal recovery: %w", err)
	}
	open := map[uint64][]record{}
	for _, r := range records {
		s.seq = max(s.seq, r.Seq)
		switch r.Kind {
		case kindCommit, kindRollback:
			delete(open, r.Tx)
			continue
		}
		if r.Tx != 0 {
			open[r.Tx] = append(open[r.Tx], r)
		}
		if db := s.dbs[r.DB]; db != nil && r.Seq > db.seq {
			db.put(string(r.Key), r.Value)
			done.applied++
		}
	}
	return done, s.takeBack(open, &done)
}

func (s *store) takeBack(open map[uint64][]record, done *recovered) error {
	var changes []record
	for tx, list := range open {
		changes = append(changes, list...)
		if err := s.append(record{Kind: kindRollback, Tx: tx}); err != nil {
			return err
		}
		done.rolledBack++
	}
	slices.SortFunc(changes, func(a, b record) int { return int(int64(b.Seq - a.Seq)) }) //nolint:gosec // Differences are small.
	for _, r := range changes {
		if err := s.undo(r); err != nil {
			return err
		}
	}
	return nil
}
