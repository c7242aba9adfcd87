package irisstandin

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"
)

// process is one session of an instance: its namespace, its variables, its transaction.
type process struct {
	in        *instance
	namespace string
	variables map[string]string
	tx        uint64
	level     int
	sync      bool // %SYSTEM.Process.SynchCommit (facts 3.2).
	out       bytes.Buffer
	atStart   bool // The cursor is at the beginning of a line.
	scanner   *scanner
	// integrity are the errors that the last integrity check of this process has found.
	integrity []string
}

// halted ends a session with an exit code.
type halted struct{ code int }

func (h *halted) Error() string { return fmt.Sprintf("halted with %d", h.code) }

var errSyntax = &objectError{"SYNTAX", ""}

func (i *instance) newProcess(namespace string) (*process, error) {
	p := &process{in: i, variables: map[string]string{}, sync: i.store.synchronous(), atStart: true}
	return p, p.changeNamespace(namespace)
}

func (p *process) changeNamespace(namespace string) error {
	name, _, found := p.in.namespace(namespace)
	if !found {
		return &objectError{"NAMESPACE", ""}
	}
	p.namespace = name
	return nil
}

// run executes a line. Errors of the code are printed, and the session goes on, as at the vendor's prompt.
func (p *process) run(line string) (err error) {
	p.scanner = &scanner{text: strings.TrimSpace(line)}
	err = p.commands()
	var object *objectError
	if errors.As(err, &object) {
		p.newLine()
		p.write(object.Error())
		p.newLine()
		return nil
	}
	return err
}

// end takes an open transaction back, as the end of a process does.
func (p *process) end() error {
	if p.tx == 0 {
		return nil
	}
	return p.in.store.rollback(p.tx)
}

func (p *process) write(text string) {
	if text != "" {
		p.out.WriteString(text)
		p.atStart = strings.HasSuffix(text, "\n")
	}
}

func (p *process) newLine() {
	if !p.atStart {
		p.write("\n")
	}
}

// commands runs what is left of the line.
func (p *process) commands() error {
	for {
		p.scanner.spaces()
		if p.scanner.peek() == 0 || p.scanner.peek() == ';' {
			return nil
		}
		command := strings.ToLower(p.scanner.name())
		if command == "" {
			return errSyntax
		}
		wanted := true
		if p.scanner.accept(":") {
			value, err := p.expression()
			if err != nil {
				return err
			}
			wanted = toNumber(value) != 0
		}
		if p.scanner.peek() == ' ' {
			p.scanner.at++ // One space; a second one means: no argument.
		}
		run := p.command(command)
		if run == nil {
			return errSyntax
		}
		if !wanted {
			return errSyntax // Skipping arguments is not worth a parser here.
		}
		if err := run(); err != nil {
			return err
		}
	}
}

func (p *process) command(name string) func() error {
	switch name {
	case "s", "set":
		return p.list(p.set)
	case "w", "write":
		return p.list(p.writeArgument)
	case "k", "kill":
		return p.list(p.kill)
	case "zw", "zwrite":
		return p.list(p.zwrite)
	case "d", "do":
		return p.list(p.do)
	case "h", "hang", "halt":
		return p.hangOrHalt
	case "ts", "tstart":
		return p.tstart
	case "tc", "tcommit":
		return p.tcommit
	case "tro", "trollback":
		return p.trollback
	case "zn", "znspace":
		return p.list(p.znspace)
	case "f", "for":
		return p.loop
	case "i", "if":
		return p.condition
	default:
		return nil
	}
}

func (p *process) list(one func() error) func() error {
	return func() error {
		for {
			if err := one(); err != nil {
				return err
			}
			if !p.scanner.accept(",") {
				return nil
			}
		}
	}
}

func (p *process) hangOrHalt() error {
	if c := p.scanner.peek(); c == 0 || c == ' ' {
		return &halted{0}
	}
	seconds, err := p.expression()
	if err == nil {
		time.Sleep(time.Duration(toNumber(seconds) * float64(time.Second)))
	}
	return err
}

func (p *process) tstart() error {
	if p.level++; p.level == 1 {
		p.tx = p.in.store.begin()
	}
	return nil
}

func (p *process) tcommit() error {
	if p.level == 0 {
		return &objectError{"COMMAND", ""}
	}
	if p.level--; p.level > 0 {
		return nil
	}
	tx := p.tx
	p.tx = 0
	return p.in.store.commit(tx, p.sync)
}

func (p *process) trollback() error {
	tx := p.tx
	if p.tx, p.level = 0, 0; tx == 0 {
		return nil
	}
	return p.in.store.rollback(tx)
}

func (p *process) znspace() error {
	name, err := p.expression()
	if err != nil {
		return err
	}
	return p.changeNamespace(name)
}

// loop is "for i=1:1:10", with the rest of the line as its body.
func (p *process) loop() error {
	target, err := p.reference()
	if err != nil || !p.scanner.accept("=") {
		return errors.Join(err, errSyntax)
	}
	var bounds [3]float64
	for i := range bounds {
		if i > 0 && !p.scanner.accept(":") {
			return errSyntax
		}
		value, err := p.expression()
		if err != nil {
			return err
		}
		bounds[i] = toNumber(value)
	}
	body := p.scanner.text[p.scanner.at:]
	for value := bounds[0]; value <= bounds[2] && bounds[1] > 0; value += bounds[1] {
		if err := p.assign(target, formatNumber(value)); err != nil {
			return err
		}
		p.scanner = &scanner{text: body}
		if err := p.commands(); err != nil {
			return err
		}
	}
	p.scanner.at = len(p.scanner.text)
	return nil
}

func (p *process) condition() error {
	value, err := p.expression()
	if err == nil && toNumber(value) == 0 {
		p.scanner.at = len(p.scanner.text)
	}
	return err
}
