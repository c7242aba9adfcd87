package irisstandin

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// function is what the article's commands and a few more need.
func (p *process) function(name string) (string, error) {
	switch name {
	case "i", "increment", "g", "get", "d", "data", "o", "order":
		return p.referenceFunction(name)
	case "h", "horolog":
		return horolog(time.Now()), nil
	case "j", "job":
		return strconv.Itoa(os.Getpid()), nil
	case "zv", "zversion":
		return "IRIS for UNIX (stand-in, not InterSystems IRIS) " + p.in.version, nil
	case "znspace", "namespace":
		return p.namespace, nil
	case "tl", "tlevel":
		return strconv.Itoa(p.level), nil
	}
	if class, found := strings.CutPrefix(name, "system."); found {
		dot := strings.LastIndex(class, ".")
		arguments, err := p.arguments()
		if err != nil || dot < 0 {
			return "", errSyntax
		}
		return p.call("%SYSTEM."+class[:dot], class[dot+1:], arguments)
	}
	arguments, err := p.arguments()
	if err != nil {
		return "", err
	}
	switch {
	case (name == "zdt" || name == "zdatetime") && len(arguments) > 0:
		return formatHorolog(arguments[0]), nil
	case (name == "l" || name == "length") && len(arguments) == 1:
		return strconv.Itoa(len(arguments[0])), nil
	default:
		return "", &objectError{"SYNTAX", ""}
	}
}

// referenceFunction is one whose first argument is a variable, not a value.
func (p *process) referenceFunction(name string) (string, error) {
	if !p.scanner.accept("(") {
		return "", errSyntax
	}
	target, err := p.reference()
	if err != nil && name[0] != 'o' {
		return "", err
	}
	second, given := "", p.scanner.accept(",")
	if given {
		if second, err = p.expression(); err != nil {
			return "", err
		}
	}
	if !p.scanner.accept(")") {
		return "", errSyntax
	}
	switch name[0] {
	case 'i':
		by := 1.0
		if given {
			by = toNumber(second)
		}
		return p.increment(target, by)
	case 'g':
		if value, found, err := p.lookUp(target); err != nil || found {
			return value, err
		}
		return second, nil
	case 'd':
		return p.data(target)
	default:
		return p.order(target)
	}
}

func (p *process) nodes(target reference, look func(nodes map[string]string)) error {
	if !target.global() {
		look(p.variables)
		return nil
	}
	return p.in.store.read(p.directory(), func(db *database) { look(db.nodes) })
}

func (p *process) data(target reference) (string, error) {
	sum := 0
	err := p.nodes(target, func(nodes map[string]string) {
		for _, key := range below(nodes, target.key()) {
			if key == target.key() {
				sum |= 1
			} else if sum < 10 {
				sum += 10
			}
		}
	})
	return strconv.Itoa(sum), err
}

// order is $ORDER: the next subscript of the same level.
func (p *process) order(target reference) (string, error) {
	level := len(target.subscripts)
	if level == 0 {
		return "", errSyntax
	}
	parent := nodeKey(target.name, target.subscripts[:level-1])
	after := target.key()
	if target.subscripts[level-1] == "" {
		after = parent
	}
	next := ""
	err := p.nodes(target, func(nodes map[string]string) {
		for _, key := range below(nodes, parent) {
			_, subscripts := splitKey(key)
			if key > after && len(subscripts) >= level && subscripts[level-1] != target.subscripts[level-1] {
				next = subscripts[level-1]
				return
			}
		}
	})
	return next, err
}

// horologEpoch is 31 December 1840.
func horologEpoch() time.Time { return time.Date(1840, 12, 31, 0, 0, 0, 0, time.UTC) }

func horolog(now time.Time) string {
	date := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, time.UTC)
	days := int(date.Sub(horologEpoch()) / (24 * time.Hour))
	return fmt.Sprintf("%d,%d", days, now.Hour()*3600+now.Minute()*60+now.Second())
}

func formatHorolog(text string) string {
	days, seconds, _ := strings.Cut(text, ",")
	at := horologEpoch().AddDate(0, 0, int(toNumber(days))).Add(time.Duration(toNumber(seconds)) * time.Second)
	return at.Format("01/02/2006 15:04:05")
}
