package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"ha-iris/sandbox/internal/tools"
)

func (a *app) toolsCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "tools [NAME...]",
		Short: "Find the tools, download them, or build them from their Go modules",
		Long: `Finds the tools, downloads their official releases or builds them from their Go modules, at pinned versions, and prints
one line for each that says which it was. Without names: what running a stack needs. Names are tools or the groups run,
lab, lint and image.

Tried in this order: what lies in .local/bin and still fits its pins; a compatible one on PATH; the project's release,
checked against the SHA-256 that it publishes, given up when its page does not answer within 5 s; a build. The first build
of everything takes about 15 minutes on 2 cores. The linters and ko are always built.

The environment decides about downloads:
  SANDBOX_TOOLS     auto (default) as above; build: no release page is asked, and nothing from one is used;
                    download: nothing is built, what cannot be downloaded is an error
  SANDBOX_RELEASES  URL of a mirror of the release pages, each host a directory: URL/github.com/..., URL/dl.k8s.io/...

Tools: ` + strings.Join(tools.Names(), ", "),
		Example: `  sandbox tools
  sandbox tools lint
  sandbox tools kubectl --json
  SANDBOX_TOOLS=build sandbox tools`,
		RunE: func(command *cobra.Command, names []string) error { return a.tools(command, names) },
	}
	a.jsonFlag(command)
	return command
}

func (a *app) tools(command *cobra.Command, names []string) error {
	l, err := a.layout()
	if err != nil {
		return err
	}
	results := []tools.Result{}
	err = tools.Ensure(command.Context(), l, names, a.progress, func(result tools.Result) {
		results = append(results, result)
		if !a.asJSON {
			_, _ = fmt.Fprintln(a.out, result) // the tool is there even if nobody reads the line
		}
	})
	if err != nil {
		return err
	}
	if a.asJSON {
		return a.printJSON(results)
	}
	return nil
}
