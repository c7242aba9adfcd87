package ledger

import (
	"slices"
	"time"
)

// Row is a row that was read back.
type Row struct {
	Number int64
	// Times is how often it was written, as far as the database can tell.
	Times int
	// Damaged is that its content is not what was written.
	Damaged bool
}

// Books compare what was acknowledged with what is there.
type Books struct {
	Acknowledged int `json:"acknowledged"`
	Failed       int `json:"failed"`
	Unknown      int `json:"unknown"`
	Present      int `json:"present"`
	// Lost are acknowledged rows that are missing or damaged.
	Lost []Write `json:"lost"`
	// Excused are lost too, but so young when the outage began that the database had not promised to keep them (no synchronous
	// commit).
	Excused []Write `json:"excused"`
	// Duplicated are rows that are there more than once.
	Duplicated []int64 `json:"duplicated"`
	// UnknownPresent and UnknownAbsent are the rows of which nobody knew.
	UnknownPresent int `json:"unknownPresent"`
	UnknownAbsent  int `json:"unknownAbsent"`
	// Phantoms are rows that are there although they failed, or that nobody wrote.
	Phantoms []int64 `json:"phantoms"`
	// LostSpan is the time from the oldest lost acknowledgement to the last acknowledgement before the outage, in seconds: the
	// recovery point.
	LostSpan float64 `json:"lostSpanSeconds"`
}

// Compare makes the books. What was acknowledged before the outage began, but less than young earlier, is excused when it is lost.
func Compare(writes []Write, rows []Row, outage time.Time, young time.Duration) Books {
	books := Books{Lost: []Write{}, Excused: []Write{}, Duplicated: []int64{}, Phantoms: []int64{}, Present: len(rows)}
	there := map[int64]Row{}
	for _, row := range rows {
		before, again := there[row.Number]
		row.Times += before.Times
		row.Damaged = row.Damaged || before.Damaged
		there[row.Number] = row
		if row.Times > 1 && (!again || before.Times == 1) {
			books.Duplicated = append(books.Duplicated, row.Number)
		}
	}
	books.Present = len(there)
	outcomes := merged(writes)
	for _, w := range outcomes {
		books.enter(w, there, outage, young)
	}
	for number := range there {
		if _, known := outcomes[number]; !known {
			books.Phantoms = append(books.Phantoms, number)
		}
	}
	books.sort()
	for _, w := range slices.Concat(books.Lost, books.Excused) {
		if !w.Done.After(outage) {
			books.LostSpan = max(books.LostSpan, outage.Sub(w.Done).Seconds())
		}
	}
	return books
}

// merged is one outcome per row. A row that was tried twice is acknowledged if it ever was, and unknown before it is failed.
func merged(writes []Write) map[int64]Write {
	rank := map[Outcome]int{Failed: 0, Unknown: 1, Acknowledged: 2}
	outcomes := map[int64]Write{}
	for _, w := range writes {
		if before, again := outcomes[w.Row]; !again || rank[w.Outcome] > rank[before.Outcome] {
			outcomes[w.Row] = w
		}
	}
	return outcomes
}

func (b *Books) enter(w Write, there map[int64]Row, outage time.Time, young time.Duration) {
	row, present := there[w.Row]
	switch w.Outcome {
	case Acknowledged:
		b.Acknowledged++
		if present && !row.Damaged {
			return
		}
		if age := outage.Sub(w.Done); !outage.IsZero() && age >= 0 && age < young {
			b.Excused = append(b.Excused, w)
			return
		}
		b.Lost = append(b.Lost, w)
	case Unknown:
		b.Unknown++
		if present {
			b.UnknownPresent++
		} else {
			b.UnknownAbsent++
		}
	case Failed:
		b.Failed++
		if present {
			b.Phantoms = append(b.Phantoms, w.Row)
		}
	}
}

func (b *Books) sort() {
	byRow := func(a, b Write) int { return int(a.Row - b.Row) }
	slices.SortFunc(b.Lost, byRow)
	slices.SortFunc(b.Excused, byRow)
	slices.Sort(b.Duplicated)
	slices.Sort(b.Phantoms)
}
