package verify

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"ha-iris/agent/internal/backup"
)

//go:embed integrity.sh
var script string

// The script's exit codes.
const (
	codeDone    = 5
	codeRunning = 6
	codeGone    = 7
)

const (
	// call is how long one look into a container may take.
	call = time.Minute
	// maxSaid is how much of what was printed is repeated.
	maxSaid = 300
	// slots is how many marker rows there are: with a run each week, two months of them.
	slots = 8
	// verdictPrefix and markerPrefix begin the lines that are read. What IRIS prints around them is not.
	verdictPrefix = "ha-iris integrity "
	markerPrefix  = "ha-iris marker "
	// markers is the global with the marker rows. Names with Z in %SYS are the customer's, and upgrades leave them (GSA, "Custom items in %SYS").
	markers = `^ZHAIRIS("verify"`
)

var errSilent = errors.New("IRIS does not answer")

// marker is a row that a run has written into the database: what a later backup must have.
type marker struct {
	slot int
	at   time.Time
	// token is drawn by its run.
	token string
}

func (m marker) String() string { return fmt.Sprintf("%d %d %s", m.slot, m.at.Unix(), m.token) }

// session has IRIS run lines in %SYS. They have no quote of the shell's.
func session(lines ...string) []string {
	text := "iris session IRIS -U%SYS <<'END'\n" + strings.Join(lines, "\n") + "\nhalt\nEND"
	return []string{"/bin/sh", "-c", text}
}

// readMarkers returns the rows that a database has.
func readMarkers(ctx context.Context, shell backup.Shell, pod string) ([]marker, error) {
	ctx, cancel := context.WithTimeout(ctx, call)
	defer cancel()
	output, code, err := shell.Exec(ctx, pod, session(
		fmt.Sprintf(`for i=0:1:%d write !,"%s",i," ",$get(%s,i)),!`, slots-1, markerPrefix, markers)))
	if err != nil {
		return nil, fmt.Errorf("read the marker rows: %w", err)
	}
	var found []marker
	seen := 0
	for line := range strings.Lines(output) {
		text, ours := strings.CutPrefix(strings.TrimSpace(line), strings.TrimSpace(markerPrefix))
		if !ours {
			continue
		}
		seen++
		if one, valid := parseMarker(text); valid {
			found = append(found, one)
		}
	}
	if code != 0 || seen < slots {
		return nil, fmt.Errorf("read the marker rows: %w (exit code %d): %s", errSilent, code, short(output))
	}
	return found, nil
}

// parseMarker reads a slot, a time and a token; a slot alone is empty.
func parseMarker(text string) (marker, bool) {
	words := strings.Fields(text)
	if len(words) != 3 {
		return marker{}, false
	}
	slot, slotErr := strconv.Atoi(words[0])
	at, timeErr := strconv.ParseInt(words[1], 10, 64)
	return marker{slot, time.Unix(at, 0), words[2]}, slotErr == nil && timeErr == nil && slot >= 0 && slot < slots
}

// writeMarker writes a row in the place of the oldest, and wants to read it back.
func writeMarker(ctx context.Context, shell backup.Shell, pod string, rows []marker, token string, now time.Time) error {
	row := marker{freeSlot(rows), now, token}
	within, cancel := context.WithTimeout(ctx, call)
	defer cancel()
	output, code, err := shell.Exec(within, pod, session(fmt.Sprintf(`set %s,%d)="%d %s"`, markers, row.slot, now.Unix(), token)))
	if err != nil || code != 0 {
		return fmt.Errorf("write a marker row (exit code %d): %s: %w", code, short(output), errors.Join(err, errSilent))
	}
	after, err := readMarkers(ctx, shell, pod)
	if err != nil {
		return err
	}
	for _, one := range after {
		if one.String() == row.String() {
			return nil
		}
	}
	return fmt.Errorf("write a marker row: the database does not have it: %s", short(output))
}

// freeSlot is one without a row, or that of the oldest.
func freeSlot(rows []marker) int {
	oldest := map[int]time.Time{}
	for _, one := range rows {
		oldest[one.slot] = one.at
	}
	chosen := 0
	for slot := range slots {
		if oldest[slot].Before(oldest[chosen]) {
			chosen = slot
		}
	}
	return chosen
}

// ask runs the integrity check's script.
func ask(ctx context.Context, shell backup.Shell, pod, what string) (output string, code int, err error) {
	ctx, cancel := context.WithTimeout(ctx, call)
	defer cancel()
	return shell.Exec(ctx, pod, []string{"/bin/sh", "-c", backup.Program(script), "ha-iris", what})
}

// verdictOf reads what the check has printed. Anything but its own word for success is none; and it has run to its end only with success, or with
// one error code and errors that it lists (integrity.sh).
func verdictOf(output string) (intact, complete bool, said string) {
	for line := range strings.Lines(output) {
		text, ours := strings.CutPrefix(strings.TrimSpace(line), verdictPrefix)
		if !ours {
			continue
		}
		_, after, _ := strings.Cut(output, verdictPrefix+text)
		word, codes, _ := strings.Cut(text, " ")
		codes = strings.TrimSpace(codes)
		if word == "1" {
			return true, true, short(after)
		}
		one := codes != "" && !strings.Contains(codes, ",")
		return false, word == "0" && one && listsErrors(after), short("error codes " + codes + ": " + after)
	}
	return false, false, short(output)
}

// listsErrors says whether a list of errors has one: "No Errors were found" is none.
func listsErrors(list string) bool {
	for line := range strings.Lines(list) {
		text := strings.ToLower(line)
		if strings.Contains(text, "error") && !strings.Contains(text, "no error") {
			return true
		}
	}
	return false
}

// short is the beginning of a text, on one line.
func short(text string) string {
	said := strings.Join(strings.Fields(text), " ")
	if len(said) > maxSaid {
		said = strings.ToValidUTF8(said[:maxSaid], "") + " ..."
	}
	return said
}
