//go:build linux

package roles

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"
)

// jobPort is where the uninstaller waits for the controller's decision: it can reach the pod, not write into it.
const jobPort = 9599

// job is the container of one of the chart's jobs. The checks around an upgrade have nothing to object to. The uninstaller waits for
// the controller, which looks at deleting-confirmation-flag and does the work: POST /v1/end?code=N ends it.
func job(ctx context.Context, role string) error {
	if role != "uninstall" {
		return nil
	}
	return waitForEnd(ctx, net.JoinHostPort("", strconv.Itoa(jobPort)))
}

func waitForEnd(ctx context.Context, address string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("wait for the controller: %w", err)
	}
	decided := make(chan int, 1)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/end", func(w http.ResponseWriter, r *http.Request) {
		code, err := strconv.Atoi(r.URL.Query().Get("code"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusNoContent)
		select {
		case decided <- code:
		default: // said already
		}
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Second}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	code := 0
	select {
	case <-ctx.Done():
		err = errors.New("ended before the controller has decided")
	case err = <-ended:
	case code = <-decided:
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = server.Shutdown(closing) // the answer goes out first; whoever asked is told by the exit code, too
	if code != 0 {
		return fmt.Errorf("the controller refuses: exit code %d", code)
	}
	return err
}

// waitForManager is the driver deployer's init container: it waits until a manager answers (longhorn.md 3.1).
func waitForManager(ctx context.Context, base string) error {
	if base == "" {
		base = "http://longhorn-backend:9500"
	}
	client := &http.Client{Timeout: 2 * time.Second}
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/v1", nil)
		if err != nil {
			return fmt.Errorf("wait for longhorn-manager: %w", err)
		}
		if response, err := client.Do(request); err == nil {
			_ = response.Body.Close() // only the code counts
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return errors.New("ended before longhorn-manager answered")
		case <-time.After(time.Second):
		}
	}
}
