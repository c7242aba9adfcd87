package irisstandin

import (
	"math"
	"strings"
)

// expression evaluates from left to right, without precedence, as ObjectScript does.
func (p *process) expression() (string, error) {
	value, err := p.operand()
	for err == nil {
		operator := p.operator()
		if operator == "" {
			return value, nil
		}
		var right string
		if right, err = p.operand(); err == nil {
			value = combine(operator, value, right)
		}
	}
	return "", err
}

func (p *process) operator() string {
	for _, operator := range []string{"'=", "'<", "'>", "_", "+", "-", "*", "/", `\`, "#", "=", "<", ">", "&", "!"} {
		if p.scanner.accept(operator) {
			return operator
		}
	}
	return ""
}

func combine(operator, a, b string) string {
	if positive, negated := strings.CutPrefix(operator, "'"); negated {
		return truth(combine(positive, a, b) == "0")
	}
	x, y := toNumber(a), toNumber(b)
	switch operator {
	case "_":
		return a + b
	case "+":
		return formatNumber(x + y)
	case "-":
		return formatNumber(x - y)
	case "*":
		return formatNumber(x * y)
	case "/":
		return formatNumber(x / y)
	case `\`:
		return formatNumber(math.Trunc(x / y))
	case "#":
		return formatNumber(x - y*math.Floor(x/y))
	case "=":
		return truth(a == b)
	case "<":
		return truth(x < y)
	case ">":
		return truth(x > y)
	case "&":
		return truth(x != 0 && y != 0)
	default:
		return truth(x != 0 || y != 0)
	}
}

func truth(value bool) string {
	if value {
		return "1"
	}
	return "0"
}

func (p *process) operand() (string, error) {
	switch c := p.scanner.peek(); {
	case c == '"':
		text, closed := p.scanner.quoted()
		if !closed {
			return "", errSyntax
		}
		return text, nil
	case isDigit(c) || c == '.':
		return p.scanner.number(), nil
	case p.scanner.accept("("):
		value, err := p.expression()
		if err == nil && !p.scanner.accept(")") {
			err = errSyntax
		}
		return value, err
	case p.scanner.accept("-"):
		value, err := p.operand()
		return formatNumber(-toNumber(value)), err
	case p.scanner.accept("+"):
		value, err := p.operand()
		return formatNumber(toNumber(value)), err
	case p.scanner.accept("'"):
		value, err := p.operand()
		return truth(toNumber(value) == 0), err
	case p.scanner.accept("##class("):
		return p.classMethod()
	case p.scanner.accept("$$"):
		return p.routine()
	case p.scanner.accept("$"):
		return p.function(strings.ToLower(p.scanner.name()))
	default:
		return p.variable()
	}
}

func (p *process) variable() (string, error) {
	target, err := p.reference()
	if err != nil {
		return "", err
	}
	value, found, err := p.lookUp(target)
	if err == nil && !found {
		err = &objectError{"UNDEFINED", "*" + nodeName(target.name, target.subscripts)}
		if target.global() {
			err = &objectError{"UNDEFINED", nodeName(target.name, target.subscripts)}
		}
	}
	return value, err
}

// classMethod reads "Class.Name).Method(arguments)".
func (p *process) classMethod() (string, error) {
	class := p.scanner.name()
	if !p.scanner.accept(").") {
		return "", errSyntax
	}
	method := p.scanner.name()
	arguments, err := p.arguments()
	if err != nil {
		return "", err
	}
	return p.call(class, method, arguments)
}
