package rules_test

import (
	"strings"
	"testing"
	"time"

	"ha-iris/internal/rules"
)

func TestParseCron_KnowsTheLongestTimeBetweenTwoRuns(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for text, want := range map[string]time.Duration{
		"*/15 * * * *":                   15 * time.Minute,
		"* * * * *":                      time.Minute,
		"0 * * * *":                      time.Hour,
		"7,37 * * * *":                   30 * time.Minute,
		"*/25 * * * *":                   25 * time.Minute, // 50 to the next hour's 0 are 10.
		"5/20 * * * *":                   20 * time.Minute,
		"30 2 * * *":                     day,
		"59/9223372036854775807 * * * *": time.Hour,
		"0 8-18 * * *":                   14 * time.Hour,
		"0 0 * * MON-FRI":                3 * day,
		"0 0 * * sun":                    7 * day,
		"0 0 1 * *":                      31 * day,
		"0 0 1 1 *":                      366 * day,
		"0 0 29 2 *":                     1461 * day,
		"0 0 1 * 1":                      7 * day, // The first and each Monday.
		"0 0 */2 * *":                    2 * day, // From the 29th to the 1st; from the 31st it is 1.
		"0 0 1-31/2 * *":                 2 * day,
		"15 1 ? JAN-DEC/1 ?":             day,
		"0 0,12 * * *":                   12 * time.Hour,
		"  0   0  *  *  *   ":            day,
	} {
		schedule, err := rules.ParseCron(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if got := schedule.LongestGap(); got != want {
			t.Errorf("%q: the longest gap is %v, want %v", text, got, want)
		}
	}
}

func TestParseCron_RefusesWhatNoScheduleIs(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":               "0 fields instead of 5",
		"@daily":         "1 fields instead of 5",
		"* * * *":        "4 fields",
		"0 */15 * * * *": "6 fields",
		"60 * * * *":     "its minute is not",
		"* 24 * * *":     "its hour is not",
		"* * 0 * *":      "its day of the month is not",
		"* * * 13 *":     "its month is not",
		"* * * * 7":      "its day of the week is not *, a number from 0 to 6",
		"*/0 * * * *":    "its minute is not",
		"*/x * * * *":    "its minute is not",
		"*/ * * * *":     "its minute is not",
		"30-10 * * * *":  "its minute is not",
		"1,,2 * * * *":   "its minute is not",
		"+5 * * * *":     "its minute is not",
		"-5 * * * *":     "its minute is not",
		"* * * * noday":  "its day of the week is not",
		"0 0 31 2 *":     "it is never due",
	} {
		if _, err := rules.ParseCron(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}
