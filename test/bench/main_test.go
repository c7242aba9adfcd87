package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"strings"
	"testing"
	"time"
)

func measured() report {
	return report{
		Machine: "linux/amd64, 2 cores",
		Rows: []row{
			{Name: rowColdBuild, Seconds: 179.4, Remark: "empty GOCACHE"},
			{Name: rowPeakMemory, Bytes: 3_410_000_000},
			{Name: rowPreview, Seconds: 0.954},
		},
		Path:      []step{{Name: "kubernetes provider", Seconds: 0.8}, {Name: "Release longhorn", Seconds: 3}},
		Resources: 15,
	}
}

func TestReport_IsReadByPeopleAndByScripts(t *testing.T) {
	t.Parallel()
	var table, encoded bytes.Buffer
	if err := measured().write(&table, false); err != nil {
		t.Fatalf("write: %v", err)
	}
	for _, want := range []string{
		"linux/amd64, 2 cores\n", "| " + rowColdBuild + " | 2 min 59 s | empty GOCACHE |\n", "| " + rowPeakMemory + " | 3.41 GB |",
		"| " + rowPreview + " | 0.95 s |", "2 of 15 resources", "| Release longhorn | 3.00 s |\n",
	} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("no %q in\n%s", want, table.String())
		}
	}
	if err := measured().write(&encoded, true); err != nil {
		t.Fatalf("write: %v", err)
	}
	var back report
	if err := json.Unmarshal(encoded.Bytes(), &back); err != nil || len(back.Rows) != 3 || back.Rows[1].Bytes != 3_410_000_000 {
		t.Errorf("got %+v, %v", back, err)
	}
}

func TestRun_RefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--run"}, {"more"}, {"--runs", "0"}} {
		if err := run(context.Background(), args, io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), "--help") {
			t.Errorf("%q: got %v, want an error that leads to --help", args, err)
		}
	}
	var help bytes.Buffer
	if err := run(context.Background(), []string{"--help"}, &help, io.Discard); err != nil || help.String() != usage {
		t.Errorf("--help: got %q, %v", help.String(), err)
	}
}

// The page shows the table of one run; a row that is measured but not shown, or shown under another name, is not reproducible.
func TestPage_ShowsEveryRow(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/performance.md")
	if err != nil {
		t.Fatalf("read page: %v", err)
	}
	for _, name := range []string{rowColdBuild, rowPeakMemory, rowFloor, rowPreview, rowNoOpUp, rowFullUp, rowDestroy} {
		if strings.Count(string(page), "| "+name+" |") != 1 {
			t.Errorf("the page does not show the row %q once", name)
		}
	}
	if !strings.Contains(string(page), "Critical path of the full `up`") {
		t.Error("the page does not show the critical path")
	}
}

// A machine that is three times slower for most of the time is so for the floor too.
func TestRatio_IsThatOfTheRounds(t *testing.T) {
	t.Parallel()
	floors := []time.Duration{2 * time.Second, 6 * time.Second, 6 * time.Second}
	previews := []time.Duration{3 * time.Second, 9 * time.Second, 30 * time.Second}
	if got := ratio(previews, floors); got != 1.5 {
		t.Errorf("got %v, want 1.5", got)
	}
	if floors[0] != 2*time.Second {
		t.Error("the times were sorted: the rounds are no longer beside each other")
	}
}
