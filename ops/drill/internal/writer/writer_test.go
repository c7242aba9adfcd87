package writer

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"ha-iris/ops/drill/internal/fakeapi"
	"ha-iris/ops/drill/internal/ledger"
)

// options are quick, so that a test has enough rows within a second.
func options() Options { return Options{Run: "r1", Rate: 100, Timeout: 200 * time.Millisecond} }

// outcomes counts what became of the rows of some time of writing.
func outcomes(t *testing.T, w Writer, length time.Duration) (*ledger.Ledger, map[ledger.Outcome]int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), length)
	defer cancel()
	var into ledger.Ledger
	w.Run(ctx, &into)
	counts := map[ledger.Outcome]int{}
	for _, write := range into.Writes() {
		counts[write.Outcome]++
	}
	return &into, counts
}

// store is a database behind HTTP.
type store struct {
	mu     sync.Mutex
	rows   map[string]string
	answer func(w http.ResponseWriter) bool // False: go on.
}

func (s *store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Method == http.MethodGet {
		if value, found := s.rows[r.URL.RawQuery]; found {
			_, _ = io.WriteString(w, value+"\n")
			return
		}
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	body, _ := io.ReadAll(r.Body)
	if s.answer != nil && s.answer(w) {
		return
	}
	s.rows[r.URL.RawQuery] = string(body)
}

// hangUp ends the connection without an answer.
func hangUp(w http.ResponseWriter) bool {
	if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
		_ = conn.Close()
	}
	return true
}

func TestHTTP_KeepsOutcomesApart(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answer func(w http.ResponseWriter) bool
		want   ledger.Outcome
	}{
		"acknowledged": {nil, ledger.Acknowledged},
		"refused":      {func(w http.ResponseWriter) bool { w.WriteHeader(http.StatusBadRequest); return true }, ledger.Failed},
		"broken":       {func(w http.ResponseWriter) bool { w.WriteHeader(http.StatusServiceUnavailable); return true }, ledger.Unknown},
		"cut off":      {hangUp, ledger.Unknown},
	} {
		server := httptest.NewServer(&store{rows: map[string]string{}, answer: test.answer})
		_, counts := outcomes(t, NewHTTP(options(), server.URL+"/?ref={run}-{row}"), 200*time.Millisecond)
		server.Close()
		if counts[test.want] < 5 || len(counts) != 1 {
			t.Errorf("%s: the outcomes are %v, want all %s", name, counts, test.want)
		}
	}
	closed := httptest.NewServer(nil)
	closed.Close()
	if _, counts := outcomes(t, NewHTTP(options(), closed.URL+"/?ref={run}-{row}"), 200*time.Millisecond); counts[ledger.Failed] < 5 || len(counts) != 1 {
		t.Errorf("nobody listens: the outcomes are %v, want all failed", counts)
	}
}

// A writer that waited would write two rows here.
func TestHTTP_DoesNotWaitForAnswers(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer server.Close()
	defer close(release)
	_, counts := outcomes(t, NewHTTP(options(), server.URL+"/?ref={run}-{row}"), 400*time.Millisecond)
	if counts[ledger.Unknown] < 20 || len(counts) != 1 {
		t.Errorf("the outcomes are %v, want some 40 unknown", counts)
	}
}

func TestHTTP_ReadsBackWhatIsThere(t *testing.T) {
	t.Parallel()
	rows := map[string]string{"ref=r1-1": "row=1", "ref=r1-3": "row=4", "ref=other-2": "row=2"}
	server := httptest.NewServer(&store{rows: rows})
	defer server.Close()
	got, err := NewHTTP(options(), server.URL+"/?ref={run}-{row}").ReadBack(t.Context(), []int64{1, 2, 3})
	if err != nil {
		t.Fatal(err)
	}
	found := map[int64]bool{}
	for _, row := range got {
		found[row.Number] = row.Damaged
	}
	if len(found) != 2 || found[1] || !found[3] {
		t.Errorf("got %v, want 1, and 3 damaged", got)
	}
}

func TestStandIn_NamesTheRow(t *testing.T) {
	t.Parallel()
	h := NewHTTP(options(), StandIn("http://h:52773/"))
	want := `http://h:52773/iris-standin/node?transaction=1&ref=%5EhaIrisDrill%28%22r1%22%2C7%29`
	if got := h.address(7); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if about := h.About(); !strings.Contains(about, "http://h:52773/iris-standin/node") {
		t.Errorf("about: %s", about)
	}
}

func TestSession_WritesAndReadsBack(t *testing.T) {
	t.Parallel()
	shell := fakeapi.NewIRIS()
	s := &Session{Options: options(), Shell: shell}
	into, counts := outcomes(t, s, 600*time.Millisecond)
	if counts[ledger.Acknowledged] < 20 || counts[ledger.Failed] > 40 {
		t.Errorf("the outcomes are %v", counts)
	}
	rows, err := s.ReadBack(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	books := ledger.Compare(into.Writes(), rows, time.Time{}, 0)
	if len(books.Lost) > 0 || len(books.Duplicated) > 0 || len(books.Phantoms) > 0 || books.Present != counts[ledger.Acknowledged]+books.UnknownPresent {
		t.Errorf("the books are %+v; the outcomes %v", books, counts)
	}
}

func TestSession_BeginsAgainWhenItEndsHangsOrFails(t *testing.T) {
	t.Parallel()
	for _, what := range []string{"end", "hang", "error"} {
		shell := fakeapi.NewIRIS()
		shell.Fails = func(session int, row int64) string {
			if session == 1 && row >= 20 {
				return what
			}
			return ""
		}
		s := &Session{Options: options(), Shell: shell}
		into, counts := outcomes(t, s, 1500*time.Millisecond)
		if counts[ledger.Acknowledged] < 40 || counts[ledger.Unknown] < 1 || shell.Sessions() < 2 {
			t.Errorf("%s: the outcomes are %v after %d sessions", what, counts, shell.Sessions())
		}
		for _, write := range into.Writes() {
			if write.Row == 20 && write.Outcome == ledger.Acknowledged {
				t.Errorf("%s: row 20 was acknowledged", what)
			}
		}
	}
}

// The transaction of a line that failed is open: nothing may be written into it.
func TestSession_EndsWithALineThatFails(t *testing.T) {
	t.Parallel()
	shell := fakeapi.NewIRIS()
	shell.Fails = func(session int, row int64) string {
		if session == 1 && row >= 20 {
			return "error"
		}
		return ""
	}
	patient := options()
	patient.Timeout = time.Minute
	_, counts := outcomes(t, &Session{Options: patient, Shell: shell}, 1500*time.Millisecond)
	if shell.Sessions() < 2 || counts[ledger.Acknowledged] < 40 {
		t.Errorf("%d sessions, the outcomes are %v", shell.Sessions(), counts)
	}
}

func TestParseRows_ReadsZWRITE(t *testing.T) {
	t.Parallel()
	rows := parseRows("USER>^haIrisDrill(\"r1\",5)=1\r\n^haIrisDrill(\"r1\",6)=2\n^haIrisDrill(\"r2\",7)=1\n^haIrisDrill(\"r1\",8)=\"row=8\"\n"+
		"^haIrisDrill(\"r1\",9)=\"row=1\"\n", "r1")
	want := []ledger.Row{{Number: 5, Times: 1}, {Number: 6, Times: 2}, {Number: 8, Times: 1}, {Number: 9, Times: 1, Damaged: true}}
	if fmt.Sprint(rows) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", rows, want)
	}
}

func TestInside_ReadsWhatWasNoted(t *testing.T) {
	t.Parallel()
	boot := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	i := &Inside{Options: options(), boot: boot}
	writes := i.Parse("1000000001 12.50\n1000000002 12.61\nnonsense\n1000000003 12")
	if len(writes) != 2 || writes[1].Row != 1_000_000_002 || !writes[1].Inside || writes[1].Done != boot.Add(12610*time.Millisecond) {
		t.Errorf("got %+v, want two: the last line is cut", writes)
	}
}

// clock plays a container's shell.
type clock struct{ started string }

func (c *clock) Attach(_ context.Context, script string, _ io.Reader, stdout io.Writer) error {
	if strings.Contains(script, "uptime") && !strings.Contains(script, "echo started") {
		_, _ = io.WriteString(stdout, "1000.00\n")
		return nil
	}
	c.started = script
	_, _ = io.WriteString(stdout, "started\n")
	return nil
}

func TestInside_StartsByTheNodesClock(t *testing.T) {
	t.Parallel()
	for _, standIn := range []bool{true, false} {
		shell := &clock{}
		i := &Inside{Options: options(), StandIn: standIn}
		if err := i.Start(t.Context(), shell); err != nil {
			t.Fatal(err)
		}
		if age := time.Since(i.boot); age < 1000*time.Second || age > 1001*time.Second {
			t.Errorf("the node started %s ago, want 1000 s", age)
		}
		if !strings.Contains(shell.started, i.File()) || strings.Contains(shell.started, "wget") != standIn {
			t.Errorf("stand-in %t: the script is %s", standIn, shell.started)
		}
	}
}
