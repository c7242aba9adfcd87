package processes

import (
	"testing"
	"time"
)

// line is a stat of Linux 6.18 behind the name, with 20 fields and more.
const line = " S 10 20 20 0 -1 4194560 101 0 0 0 1 2 0 0 20 0 3 0 4711 2166784 262 18446744073709551615 1 1 0"

func TestParse(t *testing.T) {
	t.Parallel()
	want := process{Identity: Identity{PID: 77, Started: 4711}, name: "iris", state: 'S', parent: 10, threads: 3}
	for _, name := range []string{"iris", "a b", "a) R 1 (b", "(", ")", "", "x\ny"} {
		want.name = name
		if got, err := parse("77 (" + name + ")" + line + "\n"); err != nil || got != want {
			t.Errorf("%q: got %+v, %v", name, got, err)
		}
	}
	if began := want.began(); began != 47110*time.Millisecond {
		t.Errorf("began: got %v", began)
	}
}

func TestParse_RefusesWhatIsNoStat(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "77", "77 iris" + line, "77 )(" + line, "77 (iris) S 10", "x (iris)" + line, "77 (iris) SS" + line[2:],
		"77 (iris) S ten" + line[5:],
	} {
		if got, err := parse(text); err == nil {
			t.Errorf("%q: got %+v", text, got)
		}
	}
}

func TestGone(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		state   byte
		threads int
		want    bool
	}{
		{'Z', 1, true}, {'Z', 0, true}, {'X', 0, true}, {'Z', 4, false}, {'R', 1, false}, {'D', 1, false}, {'T', 1, false}, {'t', 1, false},
	} {
		if got := (process{state: test.state, threads: test.threads}).gone(); got != test.want {
			t.Errorf("%c with %d threads: got %v", test.state, test.threads, got)
		}
	}
}
