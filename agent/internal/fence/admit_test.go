package fence

import (
	"strings"
	"testing"
)

func TestAdmit(t *testing.T) {
	t.Parallel()
	const word = "only the API server"
	silent := Round{Peers: []bool{false, false}}
	peer := Round{Peers: []bool{false, true}}
	wanted := Round{APIServer: true, Pod: WordWanted, Peers: []bool{false, false}}
	unwanted := Round{APIServer: true, Pod: WordUnwanted, Peers: []bool{true, true}}
	for name, test := range map[string]struct {
		without WithoutPeers
		start   Start
		want    []string
	}{
		"API server answers":                {start: Start{Rounds: []Round{wanted}}},
		"only a peer answers":               {start: Start{Rounds: []Round{peer}}},
		"answered once in four":             {start: Start{Rounds: []Round{silent, silent, peer, silent}}},
		"cut off":                           {start: Start{Rounds: []Round{silent, silent}}, want: []string{"cut off"}},
		"nothing was asked":                 {start: Start{}, want: []string{"cut off"}},
		"taken over":                        {start: Start{Rounds: []Round{unwanted}}, want: []string{"no longer wants"}},
		"ended before, wanted":              {start: Start{Rounds: []Round{wanted}, EndedBefore: true}},
		"ended before, only a peer answers": {start: Start{Rounds: []Round{peer}, EndedBefore: true}, want: []string{word}},
		"ended before, cut off":             {start: Start{Rounds: []Round{silent}, EndedBefore: true}, want: []string{"cut off", word}},
		"guard off, API server away":        {start: Start{Rounds: []Round{{}}}},
		"guard off, API server away, strict": {
			without: WithoutPeersFence, start: Start{Rounds: []Round{{}}}, want: []string{"cut off"},
		},
		"guard off, API server says otherwise": {
			start: Start{Rounds: []Round{{APIServer: true, Pod: WordUnwanted}}}, want: []string{"no longer wants"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := Default()
			if test.without != "" {
				p.WithoutPeers = test.without
			}
			checkReasons(t, p.Admit(test.start), test.want)
		})
	}
}

func checkReasons(t *testing.T, err error, want []string) {
	t.Helper()
	var got []string
	if err != nil {
		got = strings.Split(err.Error(), "\n")
	}
	if len(got) != len(want) {
		t.Fatalf("got %q, want %d reasons", got, len(want))
	}
	for i, text := range want {
		if !strings.Contains(got[i], text) {
			t.Errorf("got %q, want a reason with %q", got[i], text)
		}
	}
}
