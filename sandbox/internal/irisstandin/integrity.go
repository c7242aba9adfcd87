package irisstandin

import (
	"strings"
)

// Of ^Integrity there are the two entries that a program needs (GCDI, "Integrity Check API"). The check reads the databases' files, and not what
// the instance has in memory.

// do is "do CODE": a class method, or an entry of a routine.
func (p *process) do() error {
	if entry, _, _ := strings.Cut(p.scanner.text[p.scanner.at:], "("); strings.Contains(entry, "^") {
		_, err := p.routine()
		return err
	}
	_, err := p.expression()
	return err
}

// routine reads "entry^Routine(arguments)" and runs it.
func (p *process) routine() (string, error) {
	entry := p.scanner.name()
	if !p.scanner.accept("^") {
		return "", errSyntax
	}
	name := p.scanner.name()
	arguments, err := p.arguments()
	switch {
	case err != nil:
		return "", err
	case !strings.EqualFold(p.namespace, "%SYS") || name != "Integrity":
		return "", &objectError{"NOROUTINE", "*" + name}
	case entry == "CheckList":
		return p.checkList(arguments)
	case entry == "Display":
		p.display()
		return "", nil
	default:
		return "", &objectError{"NOLINE", "*" + entry + "^" + name}
	}
}

// checkList is CheckList^Integrity(outputglobal, dirlist, stopafteranyerror, listofglolist, maxproc, partialcheck) for all databases. It returns a
// %Status.
func (p *process) checkList(arguments []string) (string, error) {
	if len(arguments) > 1 && arguments[1] != "" {
		return "", &objectError{"FUNCTION", "the stand-in checks all databases only"}
	}
	p.integrity = nil
	for _, dir := range p.in.store.directories() {
		if err := p.in.store.intact(dir); err != nil {
			p.integrity = append(p.integrity, err.Error())
		}
	}
	if len(p.integrity) > 0 {
		return "0 ERROR #930: Integrity check errors", nil // Which number the vendor's has is not known; nobody may count on it.
	}
	return "1", nil
}

// errorCodes is $system.Status.GetErrorCodes: the numbers of a %Status, with commas; of success nothing.
func errorCodes(status string) string {
	var codes []string
	for _, part := range strings.Split(status, "#")[1:] {
		code, _, _ := strings.Cut(part, ":")
		codes = append(codes, code)
	}
	return strings.Join(codes, ",")
}

func (p *process) display() {
	p.newLine()
	if p.integrity == nil {
		p.write("No Errors were found.\n")
	}
	for _, one := range p.integrity {
		p.write("**********ERROR: " + one + "\n")
	}
}

// intact reads a database's file as a start would.
func (s *store) intact(dir string) error {
	s.writing.Lock() // No write cycle in between.
	defer s.writing.Unlock()
	return (&database{dir: dir}).load()
}
