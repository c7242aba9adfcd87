// Command policy refuses Pulumi stacks that would expose, unpin or lose something.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"ha-iris/ops/policy/check"
)

const usage = `policy refuses Pulumi stacks that would expose, unpin or lose something.

Usage: go run ./ops/policy [--json] [--allow RULE=PATTERN]... FILE|-

FILE (or - for standard input) is the JSON of any stack:
  pulumi preview --json --show-sames     what an update would make of the stack; unchanged resources
                                         are checked only if --show-sames lists them
  pulumi destroy --preview-only --json   what a destroy would delete
  pulumi stack export                    the stack as it is

Rules:
  public-load-balancer  a load balancer without source ranges, or one that is open to everybody; accepted when
                        the platform's annotation makes it internal, or when its ranges are set and the
                        annotation ha-iris/public: "true" says that they are meant
  unpinned-image        an image without a digest or the tag of one build
  plaintext-secret      credentials in clear: in Secrets, ConfigMaps, environments, command lines, chart values,
                        provider settings and stack outputs
  unprotected-data      claims of volumes, their namespaces and Longhorn without Pulumi's protect
  data-loss             a preview that deletes or replaces claims, their namespaces, StorageClasses, Longhorn,
                        the Kubernetes provider, clusters or their nodes

Options:
  --json                prints JSON instead of a table
  --allow RULE=PATTERN  accepts what a rule finds at the URNs that match; * stands for any text; repeatable

Exits with 0 when nothing was found, 1 when something was, 2 when the input cannot be judged: unreadable, or a preview
that failed before anything was found.

Example:
  pulumi preview --json --show-sames | go run ./ops/policy --allow 'unpinned-image=*::legacy-*' -
`

// The exit codes.
const (
	exitClean      = 0
	exitViolations = 1
	exitUnusable   = 2
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	command, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		if _, err := io.WriteString(stdout, usage); err != nil {
			return exitUnusable
		}
		return exitClean
	}
	code := exitUnusable
	if err == nil {
		code, err = command.run(stdin, stdout, stderr)
	}
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "policy:", err) // Nowhere is left to report that this fails.
	}
	return code
}

// command is a parsed command line.
type command struct {
	asJSON     bool
	allowances allowances
	file       string
}

func parse(args []string) (*command, error) {
	c := &command{}
	flags := flag.NewFlagSet("policy", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // The error is printed once, by run.
	flags.BoolVar(&c.asJSON, "json", false, "")
	flags.Var(&c.allowances, "allow", "")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if flags.NArg() != 1 {
		return nil, fmt.Errorf("got %d files, want one, or - for standard input; see: go run ./ops/policy --help", flags.NArg())
	}
	c.file = flags.Arg(0)
	return c, nil
}

// report is what the command prints, and its JSON.
type report struct {
	// Kind is the document that was read.
	Kind check.Kind `json:"kind"`
	// Checked is how many resources were looked at.
	Checked int `json:"checked"`
	// Violations are what no allowance accepts.
	Violations []check.Violation `json:"violations"`
	// Allowed are what an allowance accepts.
	Allowed []check.Violation `json:"allowed"`
	// Notes say what limits the result.
	Notes []string `json:"notes"`
}

func (c *command) run(stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	stack, err := c.read(stdin)
	if err != nil {
		return exitUnusable, err
	}
	found := report{
		Kind: stack.Kind, Checked: stack.Len(), Notes: notes(stack),
		Violations: []check.Violation{}, Allowed: []check.Violation{},
	}
	for _, violation := range check.Check(stack) {
		if c.allowances.accept(violation) {
			found.Allowed = append(found.Allowed, violation)
		} else {
			found.Violations = append(found.Violations, violation)
		}
	}
	found.Notes = append(found.Notes, c.allowances.unused()...)
	if err := c.print(found, stdout, stderr); err != nil {
		return exitUnusable, err
	}
	switch {
	case len(found.Violations) > 0:
		return exitViolations, nil
	case len(stack.Failures) > 0:
		return exitUnusable, errors.New("the preview failed, so what it says of the stack is not complete")
	default:
		return exitClean, nil
	}
}

func (c *command) read(stdin io.Reader) (*check.Stack, error) {
	if c.file == "-" {
		return check.Read(stdin)
	}
	file, err := os.Open(c.file)
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // Only read.
	stack, err := check.Read(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.file, err)
	}
	return stack, nil
}

func notes(stack *check.Stack) []string {
	found := []string{}
	for _, failure := range stack.Failures {
		found = append(found, "from the preview, which failed: "+failure)
	}
	if stack.Hidden > 0 {
		found = append(found, fmt.Sprintf("%d unchanged resources were not checked, because the preview leaves them out; "+
			"preview with --show-sames", stack.Hidden))
	}
	return found
}

func (c *command) print(found report, stdout, stderr io.Writer) error {
	if c.asJSON {
		encoder := json.NewEncoder(stdout)
		encoder.SetIndent("", "  ")
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(found); err != nil {
			return fmt.Errorf("write the report: %w", err)
		}
		return nil
	}
	if err := printTable(found, stdout); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	for _, note := range found.Notes {
		if _, err := fmt.Fprintln(stderr, "note:", note); err != nil {
			return fmt.Errorf("write notes: %w", err)
		}
	}
	return nil
}

func printTable(found report, to io.Writer) error {
	if len(found.Violations) > 0 {
		table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
		rows := []string{"RULE\tRESOURCE\tPROPERTY\tGOT\tWANT"}
		for _, v := range found.Violations {
			rows = append(rows, strings.Join([]string{string(v.Rule), shortName(v.URN), v.Path, v.Got, v.Want}, "\t"))
		}
		if _, err := fmt.Fprintln(table, strings.Join(rows, "\n")); err != nil {
			return err
		}
		if err := table.Flush(); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(to, "%s of %d resources: violations %d, allowed %d\n",
		found.Kind, found.Checked, len(found.Violations), len(found.Allowed))
	return err
}

// shortName is what is left of a URN without stack, project and parents: what a reader looks for in the program.
func shortName(urn string) string {
	parts := strings.SplitN(urn, "::", 4)
	if len(parts) != 4 {
		return urn
	}
	kind := parts[2][strings.LastIndex(parts[2], ":")+1:]
	if strings.HasPrefix(parts[2], "pulumi:providers:") {
		kind += " provider"
	}
	return kind + " " + parts[3]
}

// allowance accepts what a rule finds at some URNs.
type allowance struct {
	rule    check.Rule
	pattern string
	used    bool
}

type allowances []*allowance

// String implements flag.Value.
func (a *allowances) String() string { return fmt.Sprintf("%d allowances", len(*a)) }

// Set implements flag.Value.
func (a *allowances) Set(text string) error {
	rule, pattern, ok := strings.Cut(text, "=")
	if !ok || pattern == "" {
		return errors.New("want RULE=PATTERN")
	}
	if !slices.Contains(check.Rules(), check.Rule(rule)) {
		return fmt.Errorf("no rule %q; want one of %v", rule, check.Rules())
	}
	*a = append(*a, &allowance{rule: check.Rule(rule), pattern: pattern})
	return nil
}

func (a allowances) accept(violation check.Violation) bool {
	accepted := false
	for _, one := range a {
		if one.rule == violation.Rule && matches(one.pattern, violation.URN) {
			one.used, accepted = true, true
		}
	}
	return accepted
}

// unused names the allowances that accept nothing: each is a hole left open after what it was made for has gone.
func (a allowances) unused() []string {
	var found []string
	for _, one := range a {
		if !one.used {
			found = append(found, fmt.Sprintf("--allow %s=%s accepts nothing; remove it", one.rule, one.pattern))
		}
	}
	return found
}

// matches compares a whole text with a pattern in which * stands for any text, slashes and colons included.
func matches(pattern, text string) bool {
	parts := strings.Split(pattern, "*")
	first, last := parts[0], parts[len(parts)-1]
	if len(parts) == 1 {
		return pattern == text
	}
	if !strings.HasPrefix(text, first) || !strings.HasSuffix(text[len(first):], last) {
		return false
	}
	rest := text[len(first) : len(text)-len(last)]
	for _, part := range parts[1 : len(parts)-1] {
		at := strings.Index(rest, part)
		if at < 0 {
			return false
		}
		rest = rest[at+len(part):]
	}
	return true
}
