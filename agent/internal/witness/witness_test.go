package witness

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ha-iris/agent/internal/fence"
)

const timeout = 800 * time.Millisecond

// rig is an API server whose answers a test changes, and a witness that asks it.
type rig struct {
	t       *testing.T
	server  *httptest.Server
	witness *Witness
	log     lockedBuffer
	tokens  sync.Map // Those that were sent.
	protos  sync.Map // The protocols that were spoken.
	pod     atomic.Value
	list    atomic.Value
	lists   atomic.Int32
	token   string
}

// lockedBuffer is a log.
type lockedBuffer struct {
	mutex sync.Mutex
	text  strings.Builder
}

func (b *lockedBuffer) Write(text []byte) (int, error) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.text.Write(text)
}

func (b *lockedBuffer) String() string {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.text.String()
}

// answers is what a request gets.
type answers func(http.ResponseWriter, *http.Request)

func says(code int, body string) answers {
	return func(response http.ResponseWriter, _ *http.Request) {
		response.WriteHeader(code)
		_, _ = response.Write([]byte(body))
	}
}

// hangs reads the request and says nothing until the other side has gone.
func hangs(_ http.ResponseWriter, request *http.Request) { <-request.Context().Done() }

const wanted = `{"kind":"PartialObjectMetadata","metadata":{"name":"iris-0","uid":"u1"}}`

func newRig(t *testing.T, peers ...string) *rig {
	t.Helper()
	r := &rig{t: t}
	r.pod.Store(says(http.StatusOK, wanted))
	r.list.Store(says(http.StatusOK, `{"kind":"EndpointSliceList"}`))
	r.server = httptest.NewUnstartedServer(http.HandlerFunc(func(response http.ResponseWriter, request *http.Request) {
		r.tokens.Store(request.Header.Get("Authorization"), true)
		r.protos.Store(request.Proto, true)
		answer := &r.pod
		if strings.Contains(request.URL.Path, "endpointslices") {
			answer = &r.list
			r.lists.Add(1)
		}
		answer.Load().(answers)(response, request)
	}))
	r.server.EnableHTTP2 = true
	r.server.StartTLS()
	t.Cleanup(r.server.Close)
	directory := t.TempDir()
	r.token = filepath.Join(directory, "token")
	r.writeToken("first")
	ca := filepath.Join(directory, "ca.crt")
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.server.Certificate().Raw})
	if err := os.WriteFile(ca, certificate, 0o600); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	witness, err := New(Config{
		APIServer: r.server.URL, TokenFile: r.token, CAFile: ca, Namespace: "db", Pod: "iris-0", UID: "u1", Node: "n1",
		GuardService: "guard", Timeout: timeout, Now: func() time.Duration { return time.Since(began) },
		Log: slog.New(slog.NewTextHandler(&r.log, nil)),
	}, peers)
	if err != nil {
		t.Fatal(err)
	}
	r.witness = witness
	return r
}

func (r *rig) writeToken(text string) {
	r.t.Helper()
	if err := os.WriteFile(r.token, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// probe asks, and checks what holds for every round.
func (r *rig) probe() fence.Round {
	r.t.Helper()
	began := time.Now()
	round := r.witness.Probe(r.t.Context())
	const slack = 500 * time.Millisecond // A loaded machine.
	if took := time.Since(began); took > timeout+slack {
		r.t.Errorf("a round took %v, want at most %v", took, timeout)
	}
	if round.End < round.Start || round.APIServer != (round.Pod != fence.WordUnknown) {
		r.t.Errorf("got %+v", round)
	}
	return round
}

func TestProbe_WhatTheAPIServerSays(t *testing.T) {
	t.Parallel()
	const gone = `{"kind":"Status","status":"Failure","reason":"NotFound","details":{"name":"iris-0","kind":"pods"},"code":404}`
	for name, test := range map[string]struct {
		answer answers
		want   fence.Word
	}{
		"wanted":      {says(200, wanted), fence.WordWanted},
		"a whole pod": {says(200, `{"kind":"Pod","metadata":{"name":"iris-0","uid":"u1"},"spec":{}}`), fence.WordWanted},
		"another UID": {says(200, strings.Replace(wanted, "u1", "u2", 1)), fence.WordGone},
		"is being deleted": {
			says(200, strings.Replace(wanted, `"u1"`, `"u1","deletionTimestamp":"2026-11-28T00:00:00Z"`, 1)), fence.WordUnwanted,
		},
		"gone":           {says(404, gone), fence.WordGone},
		"404 of another": {says(404, strings.Replace(gone, "iris-0", "iris-1", 1)), fence.WordUnknown},
		"404 of a page":  {says(404, "not found"), fence.WordUnknown},
		"404 of a path":  {says(404, `{"kind":"Status","reason":"NotFound","details":{}}`), fence.WordUnknown},
		"another pod":    {says(200, strings.Replace(wanted, "iris-0", "iris-1", 1)), fence.WordUnknown},
		"no UID":         {says(200, `{"kind":"Pod","metadata":{"name":"iris-0"}}`), fence.WordUnknown},
		"a page":         {says(200, "<html>"), fence.WordUnknown},
		"nothing":        {says(200, ""), fence.WordUnknown},
		"cut short":      {says(200, wanted[:20]), fence.WordUnknown},
		"401":            {says(401, `{"kind":"Status","reason":"Unauthorized"}`), fence.WordUnknown},
		"403": {
			says(403, `{"kind":"Status","reason":"Forbidden","details":{"name":"iris-0","kind":"pods"}}`), fence.WordUnknown,
		},
		"429":   {says(429, wanted), fence.WordUnknown},
		"500":   {says(500, wanted), fence.WordUnknown},
		"503":   {says(503, gone), fence.WordUnknown},
		"hangs": {hangs, fence.WordUnknown},
		"hangs in the body": {func(response http.ResponseWriter, request *http.Request) {
			_, _ = response.Write([]byte(wanted[:20]))
			_ = http.NewResponseController(response).Flush()
			hangs(response, request)
		}, fence.WordUnknown},
		"elsewhere": {func(response http.ResponseWriter, request *http.Request) {
			if !strings.HasSuffix(request.URL.Path, "/else") {
				http.Redirect(response, request, request.URL.Path+"/else", http.StatusFound)
				return
			}
			says(200, wanted)(response, request)
		}, fence.WordUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.pod.Store(test.answer)
			if got := r.probe(); got.Pod != test.want {
				t.Errorf("got %q, want %q; %s", got.Pod, test.want, r.log.String())
			}
		})
	}
}

// With HTTP/2 the requests after a cut would wait on its connection.
func TestProbe_EachRoundIsAnew(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, hang := range []bool{false, true, true, false, true, false} {
		r.pod.Store(says(http.StatusOK, wanted))
		if hang {
			r.pod.Store(answers(hangs))
		}
		if got := r.probe(); got.APIServer == hang {
			t.Errorf("hangs is %v: got %+v", hang, got)
		}
	}
	if _, two := r.protos.Load("HTTP/2.0"); two {
		t.Error("HTTP/2 was spoken")
	}
	if got := strings.Count(r.log.String(), "does not answer"); got != 2 {
		t.Errorf("said %d times that it fell silent, want twice: %s", got, r.log.String())
	}
	r.server.CloseClientConnections()
	r.server.Close()
	if got := r.probe(); got.APIServer {
		t.Errorf("gone: got %+v", got)
	}
}

func TestProbe_ReadsTheTokenAnewAndNeverSaysIt(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.probe()
	r.writeToken(" second\n")
	r.probe()
	for _, token := range []string{"first", "second"} {
		if _, sent := r.tokens.Load("Bearer " + token); !sent {
			t.Errorf("token %s was not sent", token)
		}
	}
	r.writeToken("secret\x01word")
	if got := r.probe(); got.APIServer || strings.Contains(r.log.String(), "secret") {
		t.Errorf("got %+v, %s", got, r.log.String())
	}
}

func TestProbe_TakesAnotherAuthority(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ca := r.witness.config.CAFile
	right, err := os.ReadFile(ca)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		content []byte
		want    bool
	}{{right, true}, {[]byte("nonsense"), false}, {otherAuthority(t), false}, {right, true}} {
		if err := os.WriteFile(ca, test.content, 0o600); err != nil {
			t.Fatal(err)
		}
		if got := r.probe(); got.APIServer != test.want {
			t.Errorf("got %+v, want %v", got, test.want)
		}
	}
}

func TestNew_RefusesWhatIsNoURL(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"", "10.0.0.1:443", "ftp://10.0.0.1", "https://", "https://a b"} {
		if _, err := New(Config{APIServer: address}, nil); err == nil {
			t.Errorf("%q was taken", address)
		}
	}
}

// answering is a guard, or something else, that answers.
func answering(t *testing.T, answer answers) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(response http.ResponseWriter, request *http.Request) {
		if request.URL.Path != "/alive" || request.URL.Query().Get("node") != "n1" {
			answer = says(http.StatusNotFound, "")
		}
		answer(response, request)
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

func guardOn(t *testing.T, node, word string) string {
	t.Helper()
	return answering(t, says(http.StatusOK, fmt.Sprintf(`{"node":%q,"says":%q}`, node, word)))
}

// Guards that are cut off from the API server vouch together or not at all.
func TestProbe_GuardsThatDoNotReachTheAPIServer(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		said []string
		want []bool
	}{
		"all":                            {[]string{"cut", "cut"}, []bool{true, true}},
		"the only one":                   {[]string{"cut"}, []bool{true}},
		"one, and one that leads":        {[]string{"cut", "reachable"}, []bool{false, true}},
		"one, and one that knows better": {[]string{"cut", "lost"}, []bool{false, false}},
		"one, and one that follows":      {[]string{"cut", "follower"}, []bool{false, false}},
		"one, and one that is silent":    {[]string{"cut", ""}, []bool{false, false}},
		"none":                           {nil, []bool{}},
		"a word of another version":      {[]string{"yes"}, []bool{false}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			peers := make([]string, 0, len(test.said))
			for _, word := range test.said {
				if word == "" {
					peers = append(peers, "127.0.0.1:1")
					continue
				}
				peers = append(peers, guardOn(t, "n2", word))
			}
			r := newRig(t, peers...)
			r.pod.Store(answers(hangs))
			if got := r.probe(); !slices.Equal(got.Peers, test.want) || got.Answered() != slices.Contains(test.want, true) {
				t.Errorf("got %+v, want %v", got, test.want)
			}
		})
	}
}

// A guard is told whether the API server answered the round before, or that there was none.
func TestProbe_TellsGuardsWhetherTheAPIServerAnswers(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 10)
	peer := answering(t, func(response http.ResponseWriter, request *http.Request) {
		asked <- request.URL.Query().Get("apiserver")
		says(http.StatusOK, `{"node":"n2","says":"reachable"}`)(response, request)
	})
	r := newRig(t, peer)
	r.list.Store(says(http.StatusForbidden, "")) // The guard that is known is asked on.
	answered := "silent"                         // Nothing was asked yet.
	for _, hang := range []bool{false, false, true, true, false, false} {
		r.pod.Store(says(http.StatusOK, wanted))
		if hang {
			r.pod.Store(answers(hangs))
		}
		round := r.probe()
		if len(asked) == 0 {
			t.Fatal("the guard was not asked")
		}
		if got := <-asked; got != answered {
			t.Errorf("got %q, want %q", got, answered)
		}
		answered = "silent"
		if round.APIServer {
			answered = "answers"
		}
		if hang == round.APIServer {
			t.Logf("the machine is too slow for the time-out: %+v", round)
		}
	}
}

func TestProbe_Peers(t *testing.T) {
	t.Parallel()
	gone := answering(t, hangs)
	peers := []string{
		guardOn(t, "n2", "reachable"), guardOn(t, "n1", "reachable"), guardOn(t, "", "reachable"), guardOn(t, "n2", "lost"),
		answering(t, says(200, `ok`)), answering(t, says(503, `{"node":"n2","says":"reachable"}`)), gone, "127.0.0.1:1", "no address",
		guardOn(t, "n3", "reachable"),
	}
	want := []bool{true, false, false, false, false, false, false, false, false, true}
	r := newRig(t, peers...)
	r.pod.Store(answers(hangs))
	for range 2 {
		if got := r.probe(); got.APIServer || !slices.Equal(got.Peers, want) {
			t.Errorf("got %+v, want %v", got, want)
		}
	}
	if !slices.Equal(r.witness.Peers(), peers) {
		t.Errorf("without the API server the last known ones are asked on, got %q", r.witness.Peers())
	}
}

// sliceOf is an EndpointSlice with an endpoint on each node.
func sliceOf(kind, port string, number int, nodes map[string]string) map[string]any {
	endpoints := []any{}
	for address, node := range nodes {
		endpoint := map[string]any{"addresses": []string{address}, "conditions": map[string]any{"ready": false}}
		if node != "" {
			endpoint["nodeName"] = node
		}
		endpoints = append(endpoints, endpoint)
	}
	return map[string]any{
		"addressType": kind, "endpoints": endpoints, "ports": []any{map[string]any{"name": port, "port": number}, map[string]any{}},
	}
}

func TestList_TheGuardsOnOtherNodes(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	content, err := json.Marshal(map[string]any{"kind": "EndpointSliceList", "items": []any{
		sliceOf("IPv4", "alive", 8090, map[string]string{"10.0.0.1": "n1", "10.0.0.2": "n2", "10.0.0.3": ""}),
		sliceOf("IPv4", "alive", 8090, map[string]string{"10.0.0.2": "n2"}),
		sliceOf("IPv6", "alive", 8090, map[string]string{"fd00::2": "n2"}),
		sliceOf("IPv4", "metrics", 9, map[string]string{"10.0.0.4": "n2"}),
		sliceOf("FQDN", "alive", 8090, map[string]string{"guard.example": "n2"}),
	}})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"10.0.0.2:8090", "10.0.0.3:8090", "[fd00::2]:8090"}
	r.list.Store(says(http.StatusOK, string(content)))
	r.probe()
	r.eventually("the list is read", func() bool { return slices.Equal(r.witness.Peers(), want) })
	r.probe()
	if got := r.lists.Load(); got != 1 {
		t.Errorf("read %d times within 5 s", got)
	}
	for _, bad := range []answers{says(500, string(content)), says(403, "{}"), says(200, "{}"), says(200, "page"), hangs} {
		r.list.Store(bad)
		r.again()
		if got := r.witness.Peers(); !slices.Equal(got, want) {
			t.Errorf("a list that cannot be read changes nothing, got %q", got)
		}
	}
	if got := strings.Count(r.log.String(), "cannot be read"); got != 1 {
		t.Errorf("said %d times: %s", got, r.log.String())
	}
	r.list.Store(says(http.StatusOK, `{"kind":"EndpointSliceList"}`))
	r.again()
	if got := r.witness.Peers(); len(got) > 0 {
		t.Errorf("there is no guard any more, got %q", got)
	}
}

// again reads the list now.
func (r *rig) again() {
	r.t.Helper()
	peers, err := r.witness.api.guards(r.t.Context(), "db", "guard", "n1")
	r.witness.learn(peers, err)
}

// A list that hangs delays no round.
func TestList_IsNoPartOfARound(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.list.Store(answers(hangs))
	for range 3 {
		began := time.Now()
		if got := r.probe(); !got.APIServer || time.Since(began) > timeout {
			t.Errorf("got %+v after %v", got, time.Since(began))
		}
	}
}

func (r *rig) eventually(what string, done func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatalf("waited in vain: %s; %s", what, r.log.String())
		}
	}
}

func otherAuthority(t *testing.T) []byte {
	t.Helper()
	certificate, err := selfSigned()
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate})
}

func TestProbe_EndsWithItsContext(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.pod.Store(answers(hangs))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := r.witness.Probe(ctx); got.APIServer {
		t.Error(fmt.Sprint(got))
	}
}

// A guard on a node that is down is deleted for as long as the node is: after a while its silence counts no more.
func TestList_AGuardThatIsBeingDeletedIsForgotten(t *testing.T) {
	t.Parallel()
	now, yes, no := time.Hour, true, false
	w := &Witness{config: Config{Now: func() time.Duration { return now }, Log: slog.New(slog.DiscardHandler)}}
	list := func(terminating *bool) []string {
		slice := endpointSlice{AddressType: "IPv4"}
		if err := json.Unmarshal([]byte(`{"addressType":"IPv4","ports":[{"name":"alive","port":8090}],"endpoints":[{"addresses":["10.0.0.2"],
			"nodeName":"n2"},{"addresses":["10.0.0.3"],"nodeName":"n3"}]}`), &slice); err != nil {
			t.Fatal(err)
		}
		slice.Endpoints[1].Conditions.Terminating = terminating
		w.learn(endpointSlices{Items: []endpointSlice{slice}}.others("n1"), nil)
		return w.Peers()
	}
	for _, test := range []struct {
		later       time.Duration
		terminating *bool
		want        int
	}{{0, nil, 2}, {0, &yes, 2}, {endingFor - 1, &yes, 2}, {1, &yes, 1}, {0, &no, 2}, {time.Hour, &yes, 2}, {endingFor, &yes, 1}} {
		now += test.later
		if got := list(test.terminating); len(got) != test.want {
			t.Errorf("%v later, terminating %v: got %q, want %d", test.later, test.terminating != nil && *test.terminating, got, test.want)
		}
	}
}
