package ledger

import (
	"reflect"
	"testing"
	"time"
)

// second is a moment, in seconds after the fault.
func second(s float64) time.Time {
	return time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(s * float64(time.Second)))
}

func seconds(list ...float64) []time.Time {
	var times []time.Time
	for _, s := range list {
		times = append(times, second(s))
	}
	return times
}

func TestLongest_FindsTheOutage(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		acknowledged []float64
		end          float64
		want         float64
		recovered    bool
	}{
		"around the fault":              {[]float64{-2, -1, -0.1, 61.8, 62}, 63, 61.9, true},
		"long after the fault":          {[]float64{-1, 0.1, 55, 55.1, 160.8, 161}, 170, 105.7, true},
		"not one before the fault":      {[]float64{-100, -1, 2, 3}, 4, 3, true},
		"the longer of two":             {[]float64{-1, 14, 16, 70, 71}, 80, 54, true},
		"none afterwards":               {[]float64{-2, -1}, 721, 722, false},
		"the end of the writer is none": {[]float64{-1, 60, 61}, 62, 61, true},
		"stops again for good":          {[]float64{-1, 60, 61}, 800, 739, false},
	} {
		outage, found := Longest(seconds(test.acknowledged...), second(0), second(test.end), 720*time.Second)
		got := outage.Length(second(test.end)).Seconds()
		if !found || got < test.want-0.001 || got > test.want+0.001 || outage.Recovered() != test.recovered {
			t.Errorf("%s: got %.3f s, recovered %t, found %t; want %.3f s, %t", name, got, outage.Recovered(), found, test.want, test.recovered)
		}
	}
	if _, found := Longest(nil, second(0), second(1), time.Minute); found {
		t.Error("an outage was found where nothing was acknowledged")
	}
}

func TestPauses_CountsInterruptions(t *testing.T) {
	t.Parallel()
	pauses := Pauses(seconds(-10, -1, 14, 14.1, 16, 36.9, 37), second(0), second(38), 3*time.Second)
	if len(pauses) != 2 || pauses[0].First != second(14) || pauses[1].Last != second(16) {
		t.Errorf("got %v, want those that end at 14 and 36.9 s", pauses)
	}
}

func TestOverlap_IsWhatTheOldPodAcknowledgesBesideTheNewOne(t *testing.T) {
	t.Parallel()
	inside := func(at float64) Write { return Write{Row: 1, Outcome: Acknowledged, Done: second(at), Inside: true} }
	outside := Write{Row: 2, Outcome: Acknowledged, Done: second(300)}
	for name, test := range map[string]struct {
		last, takenOver, want float64
	}{
		"ended before": {96.7, 109.4, 0},
		"goes on":      {192.2, 180.9, 11.3},
	} {
		got := Overlap([]Write{inside(9), inside(test.last), outside}, second(test.takenOver)).Seconds()
		if got < test.want-0.001 || got > test.want+0.001 {
			t.Errorf("%s: got %.3f s, want %.3f", name, got, test.want)
		}
	}
	if Overlap([]Write{inside(9)}, time.Time{}) != 0 {
		t.Error("there is an overlap although nobody took over")
	}
}

func history() []Write {
	write := func(row int64, outcome Outcome, at float64) Write {
		return Write{Row: row, Outcome: outcome, Sent: second(at - 0.01), Done: second(at)}
	}
	return []Write{
		write(1, Acknowledged, -5), write(2, Acknowledged, -1.5), write(3, Acknowledged, -0.5), // 2 and 3 are missing.
		write(4, Unknown, 3), write(5, Unknown, 3.1), write(6, Failed, 10), write(7, Failed, 11),
		write(8, Acknowledged, 60), write(9, Acknowledged, 61), write(10, Failed, 62), write(10, Acknowledged, 63),
	}
}

func TestCompare_KeepsTheBooks(t *testing.T) {
	t.Parallel()
	rows := []Row{
		{Number: 1, Times: 1},
		{Number: 5, Times: 1}, // Unknown, and there.
		{Number: 7, Times: 1}, // It was said to have failed.
		{Number: 8, Times: 2},
		{Number: 9, Times: 1, Damaged: true},
		{Number: 10, Times: 1},
		{Number: 99, Times: 1}, // Nobody wrote it.
	}
	books := Compare(history(), rows, second(-0.5), 0)
	numbers := func(writes []Write) (found []int64) {
		for _, w := range writes {
			found = append(found, w.Row)
		}
		return found
	}
	if got := numbers(books.Lost); !reflect.DeepEqual(got, []int64{2, 3, 9}) {
		t.Errorf("lost are %v, want 2, 3 and the damaged 9", got)
	}
	if !reflect.DeepEqual(books.Duplicated, []int64{8}) || !reflect.DeepEqual(books.Phantoms, []int64{7, 99}) {
		t.Errorf("double are %v, want 8; phantoms are %v, want 7 and 99", books.Duplicated, books.Phantoms)
	}
	got := [6]int{books.Acknowledged, books.Failed, books.Unknown, books.UnknownPresent, books.UnknownAbsent, books.Present}
	if want := [6]int{6, 2, 2, 1, 1, 7}; got != want {
		t.Errorf("counted %v, want %v (acknowledged, failed, unknown, there, not there, present)", got, want)
	}
	if books.LostSpan < 0.999 || books.LostSpan > 1.001 {
		t.Errorf("the oldest lost row is %.3f s old, want 1", books.LostSpan)
	}
}

func TestCompare_ExcusesOnlyWhatIsYoungBeforeTheOutage(t *testing.T) {
	t.Parallel()
	rows := []Row{{Number: 1, Times: 1}, {Number: 9, Times: 1}, {Number: 10, Times: 1}}
	isolated := Write{Row: 1_000_000_001, Outcome: Acknowledged, Done: second(40), Inside: true}
	books := Compare(append(history(), isolated), rows, second(-0.5), 900*time.Millisecond)
	if len(books.Excused) != 1 || books.Excused[0].Row != 3 {
		t.Errorf("excused are %v, want 3", books.Excused)
	}
	if len(books.Lost) != 3 || books.Lost[0].Row != 2 || books.Lost[1].Row != 8 || books.Lost[2].Row != isolated.Row {
		t.Errorf("lost are %v, want 2, 8 and what the isolated side acknowledged", books.Lost)
	}
}

func TestCompare_CountsARowThatIsReadTwice(t *testing.T) {
	t.Parallel()
	books := Compare([]Write{{Row: 1, Outcome: Acknowledged}}, []Row{{Number: 1, Times: 1}, {Number: 1, Times: 1}}, time.Time{}, 0)
	if !reflect.DeepEqual(books.Duplicated, []int64{1}) || books.Present != 1 || len(books.Lost) != 0 {
		t.Errorf("got %+v, want 1 row that is there twice", books)
	}
}

func TestLedger_KnowsTheLastAcknowledgementFromOutside(t *testing.T) {
	t.Parallel()
	var l Ledger
	l.Add(Write{Row: 2, Outcome: Acknowledged, Done: second(5)})
	l.Add(Write{Row: 1, Outcome: Acknowledged, Done: second(4)})
	l.Add(Write{Row: 3, Outcome: Unknown, Done: second(8)})
	l.Add(Write{Row: 4, Outcome: Acknowledged, Done: second(9), Inside: true})
	if got := l.LastAcknowledged(); got != second(5) {
		t.Errorf("got %v, want %v", got, second(5))
	}
	if writes := l.Writes(); writes[0].Row != 1 || len(writes) != 4 {
		t.Errorf("the writes are %v, want them by time", writes)
	}
}

func TestSummarize_UsesTheNearestRank(t *testing.T) {
	t.Parallel()
	lengths := make([]time.Duration, 0, 20)
	for i := 20; i > 0; i-- {
		lengths = append(lengths, time.Duration(i)*time.Second)
	}
	s := Summarize(lengths)
	if *s.Min != 1 || *s.P50 != 10 || *s.P95 != 19 || *s.Max != 20 || s.Runs != 20 || s.Never != 0 {
		t.Errorf("got min %g, p50 %g, p95 %g, max %g", *s.Min, *s.P50, *s.P95, *s.Max)
	}
	one := Summarize([]time.Duration{3 * time.Second})
	if *one.Min != 3 || *one.P50 != 3 || *one.P95 != 3 || *one.Max != 3 {
		t.Errorf("one run: got %+v", one)
	}
}

func TestSummarize_TakesARunWithoutRecoveryForTheLongest(t *testing.T) {
	t.Parallel()
	s := Summarize([]time.Duration{-1, 60 * time.Second, 70 * time.Second})
	if s.Never != 1 || s.Max != nil || s.P95 != nil || *s.P50 != 70 || *s.Min != 60 {
		t.Errorf("got %+v", s)
	}
	if !s.Exceeds(s.P95, time.Hour) || s.Exceeds(s.P50, 80*time.Second) || !s.Exceeds(s.P50, 69*time.Second) || s.Exceeds(s.P50, 0) {
		t.Error("a limit is judged wrongly")
	}
	if none := Summarize(nil); none.Runs != 0 || none.P50 != nil || none.Exceeds(none.P50, time.Second) {
		t.Errorf("no runs: got %+v", none)
	}
}
