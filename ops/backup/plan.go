package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"ha-iris/internal/claims"
	"ha-iris/internal/rules"
)

// restore is what a restore takes.
type restore struct {
	Backup entry `json:"backup"`
	// Commands are those that change the stack's configuration.
	Commands []string `json:"commands"`
}

// plan says what to set so that the next up restores a backup. It changes nothing.
func plan(ctx context.Context, d *database, o options, out, _ io.Writer) error {
	mounted, err := d.volume(ctx)
	if err != nil {
		return err
	}
	chosen, err := d.find(ctx, mounted, o.from)
	if err != nil {
		return err
	}
	if url := chosen.Status.URL; url == "" || strings.ContainsAny(url, "'\\ \t\r\n") { // It is to be pasted into a shell.
		return fmt.Errorf("backup %s has the URL %q, which is none of Longhorn's", chosen.Metadata.Name, url)
	}
	generation, ours := claims.Generation(mounted.claim)
	if !ours {
		return fmt.Errorf("the database mounts PVC %s, which is none of ha-iris", mounted.claim)
	}
	planned := restore{Backup: entryOf(chosen), Commands: []string{
		fmt.Sprintf("pulumi config set --path iris.generation %d", generation+1),
		fmt.Sprintf("pulumi config set --path iris.restoreFrom.backup '%s'", chosen.Status.URL),
	}}
	if bytes, err := rules.ParseSize(mounted.size); err != nil || bytes != planned.Backup.VolumeBytes {
		planned.Commands = append(planned.Commands, "pulumi config set --path iris.size "+rules.FormatSize(planned.Backup.VolumeBytes))
	}
	if o.json {
		return json.NewEncoder(out).Encode(planned)
	}
	_, err = fmt.Fprintf(out, `# Restores %s, the state of %s UTC, into a new volume. The volume that is there stays as it is.
%s
pulumi preview --diff   # one PVC more, the Deployment changed, nothing deleted
pulumi up
`, planned.Backup.Name, planned.Backup.When.Format("2006-01-02 15:04:05"), strings.Join(planned.Commands, "\n"))
	return err
}
