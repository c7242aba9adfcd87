//go:build linux

package csinode

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	registration "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
)

// Sockets are where the driver listens, below the kubelet's directory. The path is the same for the kubelet.
func Sockets(kubeletDir string) (driver, registrar string) {
	return filepath.Join(kubeletDir, "plugins", DriverName, "csi.sock"),
		filepath.Join(kubeletDir, "plugins_registry", DriverName+"-reg.sock")
}

// registrar tells the kubelet about the driver, as node-driver-registrar does.
type registrar struct {
	registration.UnimplementedRegistrationServer
	endpoint string
	log      *slog.Logger
	refused  chan error
}

// GetInfo is the kubelet's plugin registration's.
func (r *registrar) GetInfo(context.Context, *registration.InfoRequest) (*registration.PluginInfo, error) {
	return &registration.PluginInfo{
		Type: registration.CSIPlugin, Name: DriverName, Endpoint: r.endpoint, SupportedVersions: []string{"1.0.0"},
	}, nil
}

// NotifyRegistrationStatus is the kubelet's plugin registration's. A refusal ends the process, so that it is tried again.
func (r *registrar) NotifyRegistrationStatus(_ context.Context, s *registration.RegistrationStatus) (*registration.RegistrationStatusResponse, error) {
	r.log.Info("kubelet's answer to the registration", "registered", s.GetPluginRegistered(), "error", s.GetError())
	if !s.GetPluginRegistered() {
		select {
		case r.refused <- fmt.Errorf("the kubelet refuses the driver: %s", s.GetError()):
		default: // said already
		}
	}
	return &registration.RegistrationStatusResponse{}, nil
}

// endPatience is how long calls under way may take when the driver ends.
const endPatience = 2 * time.Second

// Serve serves both sockets until the context ends. Without the registration's socket the kubelet forgets the driver.
func Serve(ctx context.Context, node *Node, kubeletDir string, log *slog.Logger) error {
	endpoint, registrarPath := Sockets(kubeletDir)
	driver := grpc.NewServer(grpc.UnaryInterceptor(logged(log)))
	csi.RegisterIdentityServer(driver, node)
	csi.RegisterNodeServer(driver, node)
	r := &registrar{endpoint: endpoint, log: log, refused: make(chan error, 1)}
	registry := grpc.NewServer()
	registration.RegisterRegistrationServer(registry, r)
	ended := make(chan error, 2)
	for _, one := range []struct {
		server *grpc.Server
		path   string
	}{{driver, endpoint}, {registry, registrarPath}} { // the driver first: the kubelet asks it at once
		listener, err := listen(one.path)
		if err != nil {
			driver.Stop()
			return err
		}
		go func() { ended <- one.server.Serve(listener) }()
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-ended:
	case err = <-r.refused:
	}
	registry.Stop()
	stopped := make(chan struct{})
	go func() { driver.GracefulStop(); close(stopped) }()
	select {
	case <-stopped:
	case <-time.After(endPatience):
		driver.Stop()
	}
	return err
}

// listen takes the socket over from a predecessor that was killed.
func listen(path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	return listener, nil
}

func logged(log *slog.Logger) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, request any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
		began := time.Now()
		answer, err := handle(ctx, request)
		if err != nil {
			log.Warn("call failed", "method", info.FullMethod, "took", time.Since(began), "error", err)
		} else {
			log.Debug("call", "method", info.FullMethod, "took", time.Since(began))
		}
		return answer, err
	}
}
