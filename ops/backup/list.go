package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"
)

// entry is a backup as it is shown.
type entry struct {
	Name string `json:"name"`
	// When is the moment that the backup is of.
	When time.Time `json:"when"`
	Kind string    `json:"kind"`
	// ByHand says that somebody has asked for it beside the schedule, so that nothing prunes it.
	ByHand bool `json:"byHand"`
	// Bytes is what the backup takes at the target, VolumeBytes what a volume for it needs.
	Bytes       int64  `json:"bytes"`
	VolumeBytes int64  `json:"volumeBytes"`
	State       string `json:"state"`
	Error       string `json:"error,omitempty"`
	Volume      string `json:"volume"`
	URL         string `json:"url"`
	// Verified is what `agent verify` has found of it; nothing when it was not verified.
	Verified *verified `json:"verified,omitempty"`
}

// kind is what a table shows.
func (e entry) kind() string {
	if e.ByHand && e.Kind == consistent {
		return e.Kind + " by hand" // The other kinds that somebody asks for say so themselves.
	}
	return e.Kind
}

func entryOf(one backup) entry {
	number := func(text string) int64 {
		value, _ := strconv.ParseInt(text, 10, 64) // Not known before it is done.
		return value
	}
	return entry{
		Name: one.Metadata.Name, When: one.when().UTC(), Kind: one.kind(), ByHand: one.byHand(), Bytes: number(one.Status.Size),
		VolumeBytes: number(one.Status.VolumeSize), State: state(one), Error: hidden(one.Status.Error), Volume: one.volume(), URL: one.Status.URL,
	}
}

func list(ctx context.Context, d *database, o options, out, progress io.Writer) error {
	scope := ""
	if !o.all {
		mounted, err := d.volume(ctx)
		if err != nil {
			return err
		}
		scope = mounted.name
	}
	found, err := d.backups(ctx, scope)
	if err != nil {
		return err
	}
	noted, err := d.verifications(ctx)
	if err != nil { // The list is worth having without.
		_, _ = fmt.Fprintf(progress, "Whether backups were verified is not known: %v\n", err)
	}
	entries := make([]entry, 0, len(found))
	for _, one := range found {
		shown := entryOf(one)
		shown.Verified = noted[shown.Name]
		entries = append(entries, shown)
	}
	last := newestOf(noted)
	if o.json {
		shown := map[string]any{"backups": entries}
		if last != nil {
			shown["lastVerified"] = last
		}
		return json.NewEncoder(out).Encode(shown)
	}
	if len(entries) == 0 {
		_, err = fmt.Fprintln(out, "There are no backups. storage.backup in the configuration makes them (docs/operations.md, \"Backups\").")
	} else {
		err = table(out, entries, o.all)
	}
	return errors.Join(err, last.say(out, entries))
}

func table(out io.Writer, entries []entry, volumes bool) error {
	columns := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(cells ...any) {
		format := "%v\t%v\t%v\t%v\t%v\t%v"
		if volumes {
			format += "\t%v"
		} else {
			cells = cells[:6]
		}
		_, _ = fmt.Fprintf(columns, format+"\n", cells...) // Flush reports what fails.
	}
	row("WHEN (UTC)", "KIND", "SIZE", "STATE", "VERIFIED", "NAME", "VOLUME")
	for _, one := range entries {
		state := one.State
		if one.Error != "" {
			state += ": " + one.Error
		}
		row(one.When.Format("2006-01-02 15:04:05"), one.kind(), size(one.Bytes), state, one.Verified.word(), one.Name, one.Volume)
	}
	if err := columns.Flush(); err != nil {
		return err
	}
	for _, one := range entries {
		if one.Verified == nil || one.Verified.Verdict == verdictGood {
			continue
		}
		if _, err := fmt.Fprintf(out, "%s, verified at %s: %s\n", one.Name, one.Verified.At.UTC().Format("2006-01-02 15:04:05"), one.Verified.Message); err != nil {
			return err
		}
	}
	return nil
}

// size is a number of bytes as people read it.
func size(bytes int64) string {
	const unit = 1024
	if bytes == 0 {
		return "-"
	}
	value, names := float64(bytes), []string{"B", "KiB", "MiB", "GiB", "TiB"}
	for value >= unit && len(names) > 1 {
		value, names = value/unit, names[1:]
	}
	return fmt.Sprintf("%.0f %s", value, names[0])
}
