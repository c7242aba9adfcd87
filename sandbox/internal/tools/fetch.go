package tools

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
)

const (
	// answerPatience is how long a release page may take to answer, name lookup and redirects included: the one that works
	// takes less than a second, and building is the way that always works.
	answerPatience = 5 * time.Second
	// stallPatience is how long stallBytes may take. At less than 50 kB/s a download is slower than the build of the same tool:
	// kube-apiserver's 80 MB would take half an hour, the build takes three minutes.
	stallPatience = 10 * time.Second
	stallBytes    = 500_000
	// fileLimit bounds a file. The largest, Pulumi's archive, has some 150 MB.
	fileLimit = 1 << 30
	// sumsLimit bounds a list of checksums. The longest, GitHub's answer for kwok, has some 50 kB.
	sumsLimit = 4 << 20
)

// fetcher downloads from release pages, for one run.
type fetcher struct {
	client *http.Client
	// mirror is the URL below which the pages are, each host a directory. Empty: they are asked themselves.
	mirror string
	// dir is for files that are needed until the run ends.
	dir           string
	answer, stall time.Duration
	// unreachable has the hosts that did not answer, so that each is waited for once.
	unreachable map[string]error
	// files are the downloaded and checked ones by URL: several tools lie in one archive.
	files map[string]string
}

func newFetcher(mirror, dir string) *fetcher {
	return &fetcher{
		client: &http.Client{
			Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, DisableCompression: true},
			CheckRedirect: func(request *http.Request, via []*http.Request) error {
				const enough = 5 // GitHub and dl.k8s.io redirect once
				if len(via) > enough || via[0].URL.Scheme == "https" && request.URL.Scheme != "https" {
					return fmt.Errorf("redirect to %s is refused", request.URL.Redacted())
				}
				return nil
			},
		},
		mirror: mirror, dir: dir, answer: answerPatience, stall: stallPatience,
		unreachable: map[string]error{}, files: map[string]string{},
	}
}

// clean removes what was downloaded in this run.
func (f *fetcher) clean() {
	f.files = map[string]string{}
	_ = os.RemoveAll(f.dir) // what stays is removed by the next run
}

// where is the URL that is asked in place of a release page's.
func (f *fetcher) where(address string) string {
	if f.mirror == "" {
		return address
	}
	return f.mirror + "/" + strings.TrimPrefix(address, "https://")
}

// known says why a file will not come, if its host was asked before in vain.
func (f *fetcher) known(address string) error { return f.unreachable[host(f.where(address))] }

func host(address string) string {
	parsed, err := url.Parse(address)
	if err != nil {
		return address
	}
	return parsed.Host
}

// file returns the path of a release's file, whose checksum is the published one.
func (f *fetcher) file(ctx context.Context, r release) (string, error) {
	if there, ok := f.files[r.url]; ok {
		return there, nil
	}
	name := path.Base(r.url)
	var sums bytes.Buffer
	if err := f.get(ctx, r.sums, &sums, sumsLimit); err != nil {
		return "", err
	}
	want, err := publishedSum(sums.Bytes(), name)
	if err != nil {
		return "", fmt.Errorf("%s: %w", r.sums, err)
	}
	if err := os.MkdirAll(f.dir, 0o755); err != nil {
		return "", fmt.Errorf("make room for the download: %w", err)
	}
	target, err := os.Create(filepath.Join(f.dir, name))
	if err != nil {
		return "", fmt.Errorf("make room for the download: %w", err)
	}
	hash := sha256.New()
	err = f.get(ctx, r.url, io.MultiWriter(target, hash), fileLimit)
	if err = errors.Join(err, target.Close()); err != nil {
		return "", err
	}
	if got := hex.EncodeToString(hash.Sum(nil)); got != want {
		return "", fmt.Errorf("%s has SHA-256 %s, and its release publishes %s", name, got, want)
	}
	f.files[r.url] = target.Name()
	return target.Name(), nil
}

// get downloads a page and remembers if its host does not answer.
func (f *fetcher) get(ctx context.Context, address string, to io.Writer, limit int64) error {
	if err := f.known(address); err != nil {
		return err
	}
	err := f.transfer(ctx, f.where(address), to, limit)
	var lost *unreachableError
	if errors.As(err, &lost) && ctx.Err() == nil {
		f.unreachable[host(f.where(address))] = err
	}
	return err
}

// unreachableError is a host that does not answer, or too slowly to wait for it.
type unreachableError struct {
	host   string
	reason error
}

func (e *unreachableError) Error() string { return e.host + ": " + e.reason.Error() }

func (e *unreachableError) Unwrap() error { return e.reason }

func (f *fetcher) transfer(ctx context.Context, address string, to io.Writer, limit int64) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	waiting := time.AfterFunc(f.answer, func() { cancel(fmt.Errorf("no answer within %s", f.answer)) })
	defer waiting.Stop()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return fmt.Errorf("ask for a release: %w", err)
	}
	response, err := f.client.Do(request)
	if err != nil {
		return &unreachableError{host: host(address), reason: cause(ctx, err)}
	}
	defer func() { _ = response.Body.Close() }() // read only
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", redacted(address), response.Status)
	}
	waiting.Stop()
	stalled := time.AfterFunc(f.stall, func() {
		cancel(&unreachableError{host: host(address), reason: fmt.Errorf("less than %d kB in %s", stallBytes/1000, f.stall)})
	})
	defer stalled.Stop()
	got, err := io.Copy(to, &watched{from: io.LimitReader(response.Body, limit+1), alive: func() { stalled.Reset(f.stall) }})
	if err != nil {
		return fmt.Errorf("%s: %w after %d bytes", redacted(address), cause(ctx, err), got)
	}
	if got > limit {
		return fmt.Errorf("%s: more than %d bytes", redacted(address), limit)
	}
	return nil
}

// cause is why the transfer was given up, or else the error without the URL, which the message has already.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		return wrapped.Err
	}
	return err
}

// watched calls alive for every stallBytes that arrive.
type watched struct {
	from  io.Reader
	alive func()
	bytes int
}

func (w *watched) Read(buffer []byte) (int, error) {
	n, err := w.from.Read(buffer)
	if w.bytes += n; w.bytes >= stallBytes {
		w.bytes = 0
		w.alive()
	}
	return n, err
}
