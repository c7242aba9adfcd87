//go:build linux

package roles

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"strconv"
	"time"
)

// The ports of the chart's containers (charts/longhorn/templates).
const (
	managerPort  = 9500
	webhookPort  = 9502
	recoveryPort = 9503
	uiPort       = 8000
)

type port struct {
	number int
	secure bool
}

func managerPorts() []port {
	return []port{{number: managerPort}, {number: webhookPort, secure: true}, {number: recoveryPort, secure: true}}
}

// serve answers on the ports until the context ends.
func serve(ctx context.Context, ports []port, log *slog.Logger) error {
	mux := http.NewServeMux()
	ok := func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") } // a client that is gone needs none
	for _, path := range []string{"/v1/healthz", "/v1", "/{$}"} {
		mux.HandleFunc("GET "+path, ok)
	}
	ended := make(chan error, len(ports))
	for _, p := range ports {
		listener, err := net.Listen("tcp", net.JoinHostPort("", strconv.Itoa(p.number)))
		if err != nil {
			return fmt.Errorf("serve port %d: %w", p.number, err)
		}
		if p.secure {
			certificate, err := selfMade()
			if err != nil {
				return errors.Join(err, listener.Close())
			}
			listener = tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12})
		}
		server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
		go func() { ended <- server.Serve(listener) }()
	}
	select {
	case <-ctx.Done():
		return nil // at once, as the process ends with it
	case err := <-ended:
		return err
	}
}

// selfMade is a certificate that nobody has to trust: probes do not check it.
func selfMade() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make certificate: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "longhorn-standin"}, DNSNames: []string{"longhorn-admission-webhook"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
	}
	content, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{content}, PrivateKey: key}, nil
}
