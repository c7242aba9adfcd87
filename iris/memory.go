package iris

import (
	"fmt"
	"strings"
)

// Memory in shares. IRIS left alone takes 25 % of the memory of the *node* for its cache, because it does not see the pod's
// limit, and the kernel then kills it (ARES). So every share is always set, from the limit:
//
//	processes  25 % of the limit, at least 256 MiB: private memory of the IRIS processes and everything that is not shared
//	gmheap     250 MiB (the article's 256000 KiB), or 3 % of the cache when that is more (ARES: the share that IRIS' own
//	           automatic value takes)
//	jrnbufs    64 MiB (IRIS' default)
//	fixed      300 MiB, and 2 MiB for each of the 3 ECP connections that IRIS sets aside (ARES)
//	routines   10 % of the cache, from 80 to 1020 MiB (ARES: the bounds of IRIS' own automatic value)
//	globals    what is left; 8 % of its size go to its own bookkeeping, 2 % for routines (ARES)
const (
	processPercent  = 25
	minProcessesMiB = 256
	minGmheapKiB    = 256_000
	gmheapPercent   = 3
	defaultJrnbufs  = 64
	fixedMiB        = 300 + 2*3
	routinesPercent = 10
	minRoutinesMiB  = 80
	maxRoutinesMiB  = 1020
	// minGlobalsMiB is below what a production instance wants and above what makes a start fail.
	minGlobalsMiB = 128
)

// memoryPlan is what IRIS gets of the pod's memory.
type memoryPlan struct {
	limitMiB     int64
	globalsMiB   int64
	routinesMiB  int64
	gmheapKiB    int64
	jrnbufsMiB   int64
	processesMiB int64
}

// planMemory divides the limit by the rule above; values that the configuration fixes are taken as they are.
func planMemory(limit int64, cfg Config) memoryPlan {
	plan := memoryPlan{
		limitMiB:     limit / mib,
		globalsMiB:   int64(cfg.GlobalsMiB),
		routinesMiB:  int64(cfg.RoutinesMiB),
		gmheapKiB:    int64(cfg.GmheapKiB),
		jrnbufsMiB:   int64(cfg.JournalBuffersMiB),
		processesMiB: max(minProcessesMiB, limit/mib*processPercent/100),
	}
	if plan.jrnbufsMiB == 0 {
		plan.jrnbufsMiB = defaultJrnbufs
	}
	if plan.globalsMiB == 0 {
		plan.globalsMiB = plan.largestGlobals()
	}
	if plan.routinesMiB == 0 {
		plan.routinesMiB = routinesFor(plan.globalsMiB)
	}
	if plan.gmheapKiB == 0 {
		plan.gmheapKiB = gmheapFor(plan.globalsMiB)
	}
	return plan
}

// largestGlobals is the largest cache whose plan still fits the limit. The sum grows with the cache, so halving finds it.
func (p memoryPlan) largestGlobals() int64 {
	low, high := int64(0), p.limitMiB
	for low < high {
		middle := (low + high + 1) / 2
		candidate := p
		candidate.globalsMiB = middle
		if candidate.routinesMiB == 0 {
			candidate.routinesMiB = routinesFor(middle)
		}
		if candidate.gmheapKiB == 0 {
			candidate.gmheapKiB = gmheapFor(middle)
		}
		if candidate.sumMiB() <= p.limitMiB {
			low = middle
		} else {
			high = middle - 1
		}
	}
	return low
}

func routinesFor(globalsMiB int64) int64 {
	return min(maxRoutinesMiB, max(minRoutinesMiB, globalsMiB*routinesPercent/100))
}

func gmheapFor(globalsMiB int64) int64 {
	return max(minGmheapKiB, globalsMiB*kib*gmheapPercent/100)
}

// sumMiB is everything together, rounded up share by share.
func (p memoryPlan) sumMiB() int64 {
	return ceilDiv(p.globalsMiB*108, 100) + ceilDiv(p.routinesMiB*102, 100) + ceilDiv(p.gmheapKiB, kib) +
		p.jrnbufsMiB + fixedMiB + p.processesMiB
}

// sum shows the addition as a user can check it.
func (p memoryPlan) sum() string {
	return strings.Join([]string{
		fmt.Sprintf("globals %d MiB + 8 %%", p.globalsMiB),
		fmt.Sprintf("routines %d MiB + 2 %%", p.routinesMiB),
		fmt.Sprintf("gmheap %d KiB", p.gmheapKiB),
		fmt.Sprintf("journal buffers %d MiB", p.jrnbufsMiB),
		fmt.Sprintf("fixed %d MiB", fixedMiB),
		fmt.Sprintf("processes %d MiB", p.processesMiB),
	}, " + ") + fmt.Sprintf(" = %d MiB", p.sumMiB())
}

func ceilDiv(a, b int64) int64 { return (a + b - 1) / b }
