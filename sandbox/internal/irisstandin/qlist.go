package irisstandin

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"
)

// list is "iris list" and "iris qlist". Neither takes a licence or writes anything (facts 2.9).
func (s Settings) list(ctx context.Context, verb string, out io.Writer) int {
	installed, err := readInstallation(s.InstallDir)
	if err != nil {
		_, _ = fmt.Fprintln(out, err)
		return 1
	}
	status, health := s.instanceStatus(ctx)
	superserver, web := 1972, 0
	if current, err := readCPF(s.cpfPath()); err == nil {
		superserver = current.number("Startup", "DefaultPort", superserver)
	}
	if installed.Edition == Community {
		web = s.WebPort
	}
	if verb == "list" {
		_, _ = fmt.Fprintf(out, "\nConfiguration '%s'   (default)\n\tdirectory:    %s\n\tversionid:    %s\n\tdatadir:      %s\n"+
			"\tconf file:    iris.cpf  (SuperServer port = %d, WebServer = %d)\n\tstatus:       %s\n",
			s.Instance, s.InstallDir, installed.Version, s.root(), superserver, web, status)
		if health != "" {
			_, _ = fmt.Fprintf(out, "\tstate:        %s\n", health)
		}
		_, _ = fmt.Fprintln(out, "\tproduct:      InterSystems IRIS (stand-in)")
		return 0
	}
	// Fourteen fields: name, directory, version, status, configuration, superserver, web, JDBC, health, product, mirror
	// type and status, data directory, further ports (facts 2.9).
	_, _ = fmt.Fprintln(out, strings.Join([]string{
		s.Instance, s.InstallDir, installed.Version, status, "iris.cpf", fmt.Sprint(superserver), fmt.Sprint(web), "0",
		health, "IRIS", "", "", s.root(), "",
	}, "^"))
	return 0
}

func (s Settings) instanceStatus(ctx context.Context) (status, health string) {
	info, err := os.Stat(s.socketPath())
	if err == nil && os.Getuid() == 0 {
		// As root, of an instance that is not root's, the status can read so (facts 2.9).
		if owner, ok := info.Sys().(*syscall.Stat_t); ok && owner.Uid != 0 {
			return "indeterminate", ""
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_, err = s.ask(ctx, request{Verb: "status"}, func(got answer) {
		if got.Status != "" {
			status, health = got.Status, got.Health
		}
	})
	if err != nil || status == "" {
		return "down, last used " + s.lastUsed().Format(statusTime), ""
	}
	return status, health
}

func (s Settings) lastUsed() time.Time {
	for _, path := range []string{s.mgr("messages.log"), s.cpfPath()} {
		if info, err := os.Stat(path); err == nil {
			return info.ModTime()
		}
	}
	return time.Unix(0, 0)
}
