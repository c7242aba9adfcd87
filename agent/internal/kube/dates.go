package kube

import (
	"errors"
	"net/http"
	"sync"
	"time"
)

// Dates remembers the newest time that the API server gave in the headers of its answers. The guard compares it with times that
// the control plane wrote; its own node's clock may be wrong.
type Dates struct {
	mutex  sync.Mutex
	newest time.Time
}

var errNoDate = errors.New("no answer of the API server had a Date")

// Forget makes only answers from now on count.
func (d *Dates) Forget() {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.newest = time.Time{}
}

// Newest returns the newest time since Forget, or an error when no answer gave one.
func (d *Dates) Newest() (time.Time, error) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if d.newest.IsZero() {
		return time.Time{}, errNoDate
	}
	return d.newest, nil
}

// Observe takes the time of an answer.
func (d *Dates) Observe(date time.Time) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if date.After(d.newest) {
		d.newest = date
	}
}

func (d *Dates) wrap(next http.RoundTripper) http.RoundTripper {
	return datedTransport{next, d}
}

type datedTransport struct {
	next  http.RoundTripper
	dates *Dates
}

// RoundTrip implements http.RoundTripper.
func (t datedTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := t.next.RoundTrip(request)
	if err != nil {
		return response, err
	}
	if date, err := http.ParseTime(response.Header.Get("Date")); err == nil {
		t.dates.Observe(date)
	}
	return response, nil
}
