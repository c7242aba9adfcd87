package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"ha-iris/ops/drill/internal/report"
)

// results writes what was measured wherever it was asked for. Files that cannot be written do not change what the drill has found.
func (o *options) results(found *report.Report, stdout io.Writer) (int, error) {
	errs := []error{found.Table(stdout)}
	if o.json != "" {
		errs = append(errs, write(o.json, found.JSON))
	}
	if o.junit != "" {
		errs = append(errs, write(o.junit, found.JUnit))
	}
	if o.svg != "" {
		errs = append(errs, pictures(o.svg, found))
	}
	return found.ExitCode, errors.Join(errs...)
}

func pictures(dir string, found *report.Report) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make the directory for pictures: %w", err)
	}
	errs := []error{write(filepath.Join(dir, "all.svg"), found.SVG)}
	for _, experiment := range found.Experiments {
		for i := range experiment.Runs {
			one := &experiment.Runs[i]
			path := filepath.Join(dir, fmt.Sprintf("%s-%d.svg", experiment.Name, one.Number))
			errs = append(errs, write(path, func(w io.Writer) error { return one.SVG(w, experiment.Name) }))
		}
	}
	return errors.Join(errs...)
}

func write(path string, content func(io.Writer) error) (err error) {
	file, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	return content(file)
}
