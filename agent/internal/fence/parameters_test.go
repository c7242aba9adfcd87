package fence

import (
	"strings"
	"testing"
	"time"
)

func TestDefault_IsValidAndHasReserve(t *testing.T) {
	t.Parallel()
	p := Default()
	if err := p.Validate(); err != nil {
		t.Fatalf("the defaults are refused: %v", err)
	}
	if p.WorstPause() != 7*time.Second || p.WorstEnd() != 28*time.Second {
		t.Errorf("got a pause after %v and an end after %v at worst, want 7s and 28s", p.WorstPause(), p.WorstEnd())
	}
}

func TestValidate_RefusesEachMistakeAlone(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*Parameters)
		want   string
	}{
		"no interval":              {func(p *Parameters) { p.Interval = 0 }, "Interval: got 0s"},
		"no time-out":              {func(p *Parameters) { p.Timeout = 0 }, "Timeout: got 0s"},
		"no margin":                {func(p *Parameters) { p.Margin = -time.Second }, "Margin: got -1s"},
		"pause before two answers": {func(p *Parameters) { p.PauseAfter = 2 * time.Second }, "PauseAfter: got 2s, want more than 2s"},
		"pause as long as stall":   {func(p *Parameters) { p.PauseAfter = 5 * time.Second }, "the pause: got 8s at worst"},
		"end at a take-over":       {func(p *Parameters) { p.EndAfter = 26600 * time.Millisecond }, "the end: got 29.6s at worst"},
		"end before pause": {
			func(p *Parameters) { p.EndAfter = 4 * time.Second },
			"EndAfter: got 4s, want more than PauseAfter, 4s",
		},
		"unknown without peers": {
			func(p *Parameters) { p.WithoutPeers = "maybe" },
			`WithoutPeers: got "maybe", want "ignore" or "fence"`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := Default()
			test.change(&p)
			err := p.Validate()
			if err == nil {
				t.Fatal("nothing was refused")
			}
			if lines := strings.Split(err.Error(), "\n"); len(lines) != 1 || !strings.Contains(lines[0], test.want) {
				t.Errorf("got %q, want one problem with %q", lines, test.want)
			}
		})
	}
}

func TestValidate_ReportsAllAtOnce(t *testing.T) {
	t.Parallel()
	err := Parameters{}.Validate()
	if err == nil {
		t.Fatal("no parameters at all were accepted")
	}
	for _, want := range []string{
		"Interval", "Timeout", "PauseAfter", "EndAfter", "Margin", "Stall", "EarliestTakeOver", "WithoutPeers", "the pause", "the end",
	} {
		if !strings.Contains(err.Error(), want+": ") {
			t.Errorf("%s is missing in:\n%v", want, err)
		}
	}
}
