package irisstandin

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// mainOptions are iris-main's documented ones (facts 2.2).
type mainOptions struct {
	instance, key, log, before, after, create, terminate, exit, passwordFile string

	up, down, nostu, agent, checkCaps bool
	agentPort                         int
	version, help                     bool
}

const mainUsage = `iris-main: the entry point of the stand-in of an IRIS container (not InterSystems')
  -i, --instance NAME       (IRIS)   -u, --up BOOL        start the instance (true)
  -d, --down BOOL           stop it with the container (true)
  -s, --nostu BOOL          (false)  -k, --key FILE       licence key, copied into mgr/
  -l, --log FILE            tail a file to standard output
  -b, --before CMD          -a, --after CMD           around the start; a failure ends the container
  -c, --create CMD          before the first start
  -t, --terminate CMD       after the instance stopped
  -e, --exit CMD            at the end
  -p, --password-file FILE  --ISCAgent BOOL (true)    --ISCAgentPort PORT (2188)
  --check-caps BOOL (true)  --version                 --help
`

// parseMain reads "-x value", "--long value" and "--long=value".
func parseMain(arguments []string) (mainOptions, error) {
	o := mainOptions{instance: "", up: true, down: true, agent: true, checkCaps: true, agentPort: 2188}
	texts := map[string]*string{
		"instance": &o.instance, "key": &o.key, "log": &o.log, "before": &o.before, "after": &o.after,
		"create": &o.create, "terminate": &o.terminate, "exit": &o.exit, "password-file": &o.passwordFile,
	}
	bools := map[string]*bool{"up": &o.up, "down": &o.down, "nostu": &o.nostu, "ISCAgent": &o.agent, "check-caps": &o.checkCaps}
	short := map[string]string{
		"i": "instance", "u": "up", "d": "down", "s": "nostu", "k": "key", "l": "log", "b": "before", "a": "after",
		"c": "create", "t": "terminate", "e": "exit", "p": "password-file",
	}
	for len(arguments) > 0 {
		name, value, hasValue := strings.Cut(strings.TrimLeft(arguments[0], "-"), "=")
		if !strings.HasPrefix(arguments[0], "-") {
			return o, fmt.Errorf("unknown argument %q", arguments[0])
		}
		arguments = arguments[1:]
		if long, found := short[name]; found {
			name = long
		}
		if name == "version" || name == "help" {
			o.version, o.help = o.version || name == "version", o.help || name == "help"
			continue
		}
		if !hasValue {
			if len(arguments) == 0 {
				return o, fmt.Errorf("option %q needs a value", name)
			}
			value, arguments = arguments[0], arguments[1:]
		}
		if err := o.assign(name, value, texts, bools); err != nil {
			return o, err
		}
	}
	return o, nil
}

func (o *mainOptions) assign(name, value string, texts map[string]*string, bools map[string]*bool) error {
	if text, found := texts[name]; found {
		*text = value
		return nil
	}
	var err error
	switch target, found := bools[name]; {
	case found:
		*target, err = strconv.ParseBool(value)
	case name == "ISCAgentPort":
		o.agentPort, err = strconv.Atoi(value)
	default:
		err = errors.New("unknown option")
	}
	if err != nil {
		return fmt.Errorf("option %q: %w", name, err)
	}
	return nil
}
