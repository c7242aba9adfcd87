package irisstandin

import (
	"errors"
	"strings"
)

// reference is a variable: a global with its caret, or a local one.
type reference struct {
	name       string
	subscripts []string
}

func (r reference) global() bool { return strings.HasPrefix(r.name, "^") }
func (r reference) key() string  { return nodeKey(r.name, r.subscripts) }

func (p *process) reference() (reference, error) {
	var r reference
	if p.scanner.accept("^") {
		r.name = "^"
	}
	name := p.scanner.name()
	if name == "" {
		return r, errSyntax
	}
	r.name += name
	if p.scanner.peek() != '(' {
		return r, nil
	}
	var err error
	r.subscripts, err = p.arguments()
	for _, subscript := range r.subscripts {
		if subscript == "" {
			return r, errors.Join(err, &objectError{"SUBSCRIPT", r.name})
		}
	}
	return r, err
}

// arguments reads "(a,b)"; a missing one is empty.
func (p *process) arguments() ([]string, error) {
	if !p.scanner.accept("(") {
		return nil, errSyntax
	}
	var values []string
	if p.scanner.accept(")") {
		return nil, nil
	}
	for {
		value := ""
		if c := p.scanner.peek(); c != ',' && c != ')' {
			var err error
			if value, err = p.expression(); err != nil {
				return nil, err
			}
		}
		values = append(values, value)
		if p.scanner.accept(")") {
			return values, nil
		}
		if !p.scanner.accept(",") {
			return nil, errSyntax
		}
	}
}

func (p *process) set() error {
	target, err := p.reference()
	if err != nil {
		return err
	}
	if !p.scanner.accept("=") {
		return errSyntax
	}
	value, err := p.expression()
	if err != nil {
		return err
	}
	return p.assign(target, value)
}

func (p *process) directory() string {
	_, dir, _ := p.in.namespace(p.namespace)
	return dir
}

func (p *process) assign(target reference, value string) error {
	if !target.global() {
		p.variables[target.key()] = value
		return nil
	}
	return p.in.store.update(p.directory(), p.tx, func(*database) []edit { return []edit{{target.key(), &value}} })
}

func (p *process) lookUp(target reference) (value string, found bool, err error) {
	if !target.global() {
		value, found = p.variables[target.key()]
		return value, found, nil
	}
	err = p.in.store.read(p.directory(), func(db *database) { value, found = db.nodes[target.key()] })
	return value, found, err
}

// increment is $INCREMENT, which a rollback does not take back: it is journaled outside of the transaction.
func (p *process) increment(target reference, by float64) (string, error) {
	var value string
	if !target.global() {
		value = formatNumber(toNumber(p.variables[target.key()]) + by)
		p.variables[target.key()] = value
		return value, nil
	}
	err := p.in.store.update(p.directory(), 0, func(db *database) []edit {
		value = formatNumber(toNumber(db.nodes[target.key()]) + by)
		return []edit{{target.key(), &value}}
	})
	return value, err
}

func (p *process) kill() error {
	target, err := p.reference()
	if err != nil {
		return err
	}
	if !target.global() {
		for _, key := range below(p.variables, target.key()) {
			delete(p.variables, key)
		}
		return nil
	}
	return p.in.store.update(p.directory(), p.tx, func(db *database) []edit {
		var edits []edit
		for _, key := range below(db.nodes, target.key()) {
			edits = append(edits, edit{key, nil})
		}
		return edits
	})
}

func (p *process) zwrite() error {
	target, err := p.reference()
	if err != nil {
		return err
	}
	nodes := map[string]string{}
	take := func(all map[string]string) {
		for _, key := range below(all, target.key()) {
			nodes[key] = all[key]
		}
	}
	if target.global() {
		if err := p.in.store.read(p.directory(), func(db *database) { take(db.nodes) }); err != nil {
			return err
		}
	} else {
		take(p.variables)
	}
	p.newLine()
	for _, key := range below(nodes, "") {
		name, subscripts := splitKey(key)
		p.write(nodeName(name, subscripts) + "=" + quoteValue(nodes[key]) + "\n")
	}
	return nil
}

func (p *process) writeArgument() error {
	switch {
	case p.scanner.accept("!"):
		p.write("\n")
		return nil
	case p.scanner.accept("?"):
		return errSyntax
	}
	value, err := p.expression()
	if err == nil {
		p.write(value)
	}
	return err
}
