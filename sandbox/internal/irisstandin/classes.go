package irisstandin

import (
	"errors"
	"strings"
	"time"
)

// call runs a class method of the few that there are. Names of classes are compared without case, as the vendor's
// documents write them in several ways.
func (p *process) call(class, method string, arguments []string) (string, error) {
	argument := func(i int) string {
		if i < len(arguments) {
			return arguments[i]
		}
		return ""
	}
	switch strings.ToLower(class + "." + method) {
	case "%system.inetinfo.localhostname":
		return p.in.host, nil
	case "%system.process.terminate":
		return "", &halted{int(toNumber(argument(1)))}
	case "%system.process.synchcommit":
		before := truth(p.sync)
		if len(arguments) > 0 {
			p.sync = toNumber(arguments[0]) != 0
		}
		return before, nil
	case "security.users.unexpireuserpasswords":
		return "1", p.in.users.unexpire()
	case "sys.container.preventfailovermessage":
		p.in.forgetHost()
		return "1", nil
	case "%system.status.isok":
		return truth(toNumber(argument(0)) != 0), nil // A status is 1, or 0 and what is wrong.
	case "%system.status.geterrorcodes":
		return errorCodes(argument(0)), nil
	case "backup.general.externalfreeze":
		return p.freeze(argument(2) != "0", argument(6))
	case "backup.general.externalthaw":
		p.in.store.thaw()
		p.in.log.add(0, "Backup.General.ExternalThaw: System Resumed")
		return "1", &halted{freezeDone}
	case "backup.general.iswdsuspendedext":
		if p.in.store.suspended() {
			return "", &halted{freezeDone}
		}
		return "", &halted{freezeFailed}
	default:
		return "", &objectError{"CLASS DOES NOT EXIST", "*" + class + "." + method}
	}
}

// freeze is Backup.General.ExternalFreeze in %SYS; its seventh argument is the limit in seconds (facts 6). The process
// ends with the exit code.
func (p *process) freeze(switchJournal bool, seconds string) (string, error) {
	if !strings.EqualFold(p.namespace, "%SYS") {
		return "", &objectError{"CLASS DOES NOT EXIST", "*Backup.General"}
	}
	limit := p.in.settings.FreezeLimit
	if given := toNumber(seconds); given > 0 {
		limit = time.Duration(given) * time.Second
	}
	if err := p.in.store.freeze(limit, switchJournal); err != nil {
		p.in.log.add(2, "Backup.General.ExternalFreeze: %v", err)
		if errors.Is(err, errClosing) {
			return "", err
		}
		return "0", &halted{freezeFailed}
	}
	p.in.log.add(0, "Backup.General.ExternalFreeze: System suspended")
	return "1", &halted{freezeDone}
}
