package rules

import (
	"errors"
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"time"
)

// Cron is a schedule of five fields: minute, hour, day of the month, month, day of the week.
type Cron struct {
	minutes, hours, days, months, weekdays uint64
	// anyDay and anyWeekday say that the field is a star. When neither is, a day counts that one of the two names (crontab(5)).
	anyDay, anyWeekday bool
}

// cronField is the range of one of the fields and the names that stand for its numbers, from low on.
type cronField struct {
	name      string
	low, high int
	names     string
}

// ParseCron reads a schedule as a CronJob of Kubernetes does (robfig/cron, ParseStandard), but for its descriptors such as @daily. The
// error says what is wrong, without the text.
func ParseCron(text string) (Cron, error) {
	fields := strings.Fields(text)
	const want = 5
	if len(fields) != want {
		return Cron{}, fmt.Errorf("it has %d fields instead of 5", len(fields))
	}
	var masks [want]uint64
	var stars [want]bool
	for i, field := range []cronField{
		{"minute", 0, 59, ""},
		{"hour", 0, 23, ""},
		{"day of the month", 1, 31, ""},
		{"month", 1, 12, "jan feb mar apr may jun jul aug sep oct nov dec"},
		{"day of the week", 0, 6, "sun mon tue wed thu fri sat"},
	} {
		for part := range strings.SplitSeq(fields[i], ",") {
			mask, star, valid := field.parse(part)
			if !valid {
				return Cron{}, fmt.Errorf("its %s is not *, a number from %d to %d, a range or a list of them", field.name, field.low, field.high)
			}
			masks[i] |= mask
			stars[i] = stars[i] || star
		}
	}
	schedule := Cron{masks[0], masks[1], masks[2], masks[3], masks[4], stars[2], stars[4]}
	if schedule.LongestGap() == 0 {
		return Cron{}, errors.New("it is never due")
	}
	return schedule, nil
}

// parse reads one element of a list: *, N, N-M, each with /STEP. N/STEP goes on to the end.
func (f cronField) parse(text string) (mask uint64, star, valid bool) {
	span, stepText, stepped := strings.Cut(text, "/")
	step := 1
	if stepped {
		var err error
		if step, err = strconv.Atoi(stepText); err != nil || step < 1 || stepText[0] == '+' {
			return 0, false, false
		}
		step = min(step, f.high+1) // A longer one leads out of the range too, and must not overflow.
	}
	low, high := f.low, f.high
	if span == "*" || span == "?" {
		star = step == 1
	} else {
		first, last, isRange := strings.Cut(span, "-")
		if low, valid = f.number(first); !valid {
			return 0, false, false
		}
		if isRange {
			if high, valid = f.number(last); !valid || high < low {
				return 0, false, false
			}
		} else if !stepped {
			high = low
		}
	}
	for i := low; i <= high; i += step {
		mask |= 1 << i
	}
	return mask, star, true
}

func (f cronField) number(text string) (int, bool) {
	for i, name := range strings.Fields(f.names) {
		if strings.EqualFold(name, text) {
			return f.low + i, true
		}
	}
	number, err := strconv.Atoi(text)
	return number, err == nil && text[0] != '+' && number >= f.low && number <= f.high
}

// LongestGap is the longest time from one time at which it is due to the next; 0 if it never is.
func (c Cron) LongestGap() time.Duration {
	first, last, longest := c.withinDay()
	const span = 6 * 366 // Every combination of a date, a weekday and a leap year that makes a difference to a gap.
	day := time.Date(2024, time.January, 1, 0, 0, 0, 0, time.UTC)
	previous, found := -1, 0
	for i := range span {
		if !c.on(day.AddDate(0, 0, i)) {
			continue
		}
		if found++; previous >= 0 {
			longest = max(longest, (i-previous)*24*60+first-last)
		}
		previous = i
	}
	if found < 2 { // Once in six years is no schedule.
		return 0
	}
	return time.Duration(longest) * time.Minute
}

// withinDay returns the first and the last minute of a day that is due, and the longest time between two of them in minutes.
func (c Cron) withinDay() (first, last, longest int) {
	first = bits.TrailingZeros64(c.hours)*60 + bits.TrailingZeros64(c.minutes)
	last = first
	for minute := range 24 * 60 {
		if c.hours>>(minute/60)&1 == 1 && c.minutes>>(minute%60)&1 == 1 {
			longest, last = max(longest, minute-last), minute
		}
	}
	return first, last, longest
}

// on reports whether it is due on a day.
func (c Cron) on(day time.Time) bool {
	if c.months>>int(day.Month())&1 == 0 {
		return false
	}
	date, weekday := c.days>>day.Day()&1 == 1, c.weekdays>>int(day.Weekday())&1 == 1
	if c.anyDay || c.anyWeekday {
		return date && weekday
	}
	return date || weekday
}
