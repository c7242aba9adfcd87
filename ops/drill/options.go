package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"ha-iris/ops/drill/internal/drill"
	"ha-iris/ops/drill/internal/fault"
	"ha-iris/ops/drill/internal/report"
)

// options is a parsed command line.
type options struct {
	cleanup                      bool
	sandbox, kubeconfig, context string
	yes                          bool
	json, junit, svg             string
	config                       drill.Config
}

// limits are seconds, for one experiment or, under the empty name, for all.
type limits map[fault.Kind]time.Duration

// String implements flag.Value.
func (l limits) String() string { return "" }

// Set implements flag.Value.
func (l limits) Set(text string) error {
	name, number, found := strings.Cut(text, "=")
	if !found {
		name, number = "", text
	}
	if name != "" && !slices.Contains(fault.Kinds(), fault.Kind(name)) {
		return fmt.Errorf("there is no experiment %q", name)
	}
	seconds, err := strconv.ParseFloat(number, 64)
	if err != nil || seconds <= 0 {
		return fmt.Errorf("%q is no number of seconds above 0", number)
	}
	l[fault.Kind(name)] = time.Duration(seconds * float64(time.Second))
	return nil
}

func (l limits) of(kind fault.Kind) time.Duration {
	if own, found := l[kind]; found {
		return own
	}
	return l[""]
}

// seconds is a flag of a length of time.
type seconds struct{ to *time.Duration }

// String implements flag.Value.
func (s seconds) String() string { return "" }

// Set implements flag.Value.
func (s seconds) Set(text string) error {
	number, err := strconv.ParseFloat(text, 64)
	if err != nil || number < 0 {
		return fmt.Errorf("%q is no number of seconds", text)
	}
	*s.to = time.Duration(number * float64(time.Second))
	return nil
}

// parse reads the experiment and the options, in any order.
func parse(args []string) (*options, error) {
	o := &options{config: drill.Config{
		Phase: 10 * time.Second, Recovery: 12 * time.Minute, Healing: 30 * time.Minute, WriteTimeout: 3 * time.Second, Warming: time.Minute,
		// A replacement was seen to be deleted again 1.9 s after its start (longhorn-real.md).
		Settling: 10 * time.Second,
	}}
	p50, p95, lost := limits{}, limits{}, 0
	flags := flag.NewFlagSet("drill", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // The error is printed once, by run.
	o.clusterFlags(flags)
	o.runFlags(flags)
	o.writeFlags(flags)
	flags.Var(p50, "max-p50", "")
	flags.Var(p95, "max-p95", "")
	flags.IntVar(&lost, "max-lost", 0, "")
	flags.StringVar(&o.json, "json", "", "")
	flags.StringVar(&o.junit, "junit", "", "")
	flags.StringVar(&o.svg, "svg", "", "")
	var words []string
	for rest := args; ; {
		if err := flags.Parse(rest); err != nil {
			return nil, err
		}
		if flags.NArg() == 0 {
			break
		}
		words, rest = append(words, flags.Arg(0)), flags.Args()[1:]
	}
	o.config.Objectives = func(kind fault.Kind) report.Objectives {
		return report.Objectives{P50: p50.of(kind), P95: p95.of(kind), Lost: lost}
	}
	if err := o.choose(words); err != nil {
		return nil, err
	}
	return o, o.check(lost)
}

func (o *options) clusterFlags(flags *flag.FlagSet) {
	commands := &o.config.Commands
	flags.StringVar(&o.sandbox, "sandbox", "", "")
	flags.StringVar(&o.kubeconfig, "kubeconfig", "", "")
	flags.StringVar(&o.context, "context", "", "")
	flags.BoolVar(&o.yes, "yes", false, "")
	flags.StringVar(&o.config.Namespace, "namespace", "iris", "")
	flags.StringVar(&commands.StopNode, "stop-node-cmd", "", "")
	flags.StringVar(&commands.StartNode, "start-node-cmd", "", "")
	flags.StringVar(&commands.CutNode, "cut-node-cmd", "", "")
	flags.StringVar(&commands.JoinNode, "join-node-cmd", "", "")
	flags.StringVar(&commands.StopKubelet, "stop-kubelet-cmd", "", "")
	flags.StringVar(&commands.StartKubelet, "start-kubelet-cmd", "", "")
}

func (o *options) runFlags(flags *flag.FlagSet) {
	flags.IntVar(&o.config.Runs, "runs", 1, "")
	flags.Var(seconds{&o.config.Phase}, "phase", "")
	flags.Var(seconds{&o.config.HealAfter}, "heal-after", "")
	flags.Var(seconds{&o.config.Recovery}, "recovery", "")
	flags.Var(seconds{&o.config.Healing}, "healing", "")
	flags.Var(seconds{&o.config.Settling}, "settling", "")
	flags.BoolVar(&o.config.Compare, "compare-replicas", false, "")
}

func (o *options) writeFlags(flags *flag.FlagSet) {
	flags.StringVar(&o.config.Writer, "writer", "auto", "")
	flags.StringVar(&o.config.Endpoint, "endpoint", "", "")
	flags.StringVar(&o.config.Address, "write-url", "", "")
	flags.Float64Var(&o.config.Rate, "rate", 10, "")
	flags.Var(seconds{&o.config.WriteTimeout}, "write-timeout", "")
	flags.Var(seconds{&o.config.Young}, "lost-window", "")
	flags.StringVar(&o.config.ReadCommand, "read-acks-cmd", "", "")
}

// choose finds the experiments and, with a sandbox, its files and commands.
func (o *options) choose(words []string) error {
	known := fault.Kinds()
	switch {
	case len(words) != 1:
		return fmt.Errorf("got %d experiments, want one; see: go run ./ops/drill --help", len(words))
	case words[0] == "cleanup":
		o.cleanup = true
	case words[0] == "all":
		o.config.Experiments = known
	case slices.Contains(known, fault.Kind(words[0])):
		o.config.Experiments = []fault.Kind{fault.Kind(words[0])}
	default:
		return fmt.Errorf("there is no experiment %q; want one of %q, all or cleanup", words[0], known)
	}
	if o.sandbox == "" {
		return nil
	}
	if !sandboxName.MatchString(o.sandbox) || o.kubeconfig != "" || o.context != "" {
		return errors.New("--sandbox wants a sandbox's name, without --kubeconfig and --context")
	}
	local := filepath.Join(".local", "sandbox", o.sandbox)
	o.kubeconfig = filepath.Join(local, "kubeconfig")
	o.config.Disks = filepath.Join(local, "nodes")
	o.config.Commands = o.config.Commands.Or(fault.Sandbox(filepath.Join(".local", "bin", "sandbox"), o.sandbox))
	return nil
}

// sandboxName is what make admits as a stack's name.
var sandboxName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]*$`)

// check returns every mistake.
func (o *options) check(lost int) error {
	var mistakes []error
	wrong := func(is bool, format string, args ...any) {
		if is {
			mistakes = append(mistakes, fmt.Errorf(format, args...))
		}
	}
	c := o.config
	wrong(c.Runs < 1, "--runs: got %d, want at least 1", c.Runs)
	wrong(lost < 0, "--max-lost: got %d, want at least 0", lost)
	wrong(c.Rate <= 0 || c.Rate > 1000, "--rate: got %g, want more than 0 and at most 1000", c.Rate)
	wrong(c.WriteTimeout <= 0, "--write-timeout: want more than 0")
	wrong(c.Compare && c.Disks == "", "--compare-replicas: want --sandbox, on whose nodes' disks the replicas are")
	wrong(c.Recovery <= 0, "--recovery: want more than 0")
	wrong(!slices.Contains([]string{"auto", "http", "exec", "none"}, c.Writer), "--writer: got %q, want auto, http, exec or none", c.Writer)
	wrong(c.Address != "" && (!strings.Contains(c.Address, "{run}") || !strings.Contains(c.Address, "{row}")),
		"--write-url: want {run} and {row} in it")
	for name, text := range map[string]string{"endpoint": c.Endpoint, "write-url": c.Address} {
		parsed, err := url.Parse(text)
		wrong(text != "" && (err != nil || parsed.Host == ""), "--%s: want a URL", name)
	}
	return errors.Join(mistakes...)
}
