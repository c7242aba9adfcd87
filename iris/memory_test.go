package iris

import (
	"fmt"
	"strings"
	"testing"
)

// TestPlanMemory_FillsTheLimit also documents what the rule gives for usual limits.
func TestPlanMemory_FillsTheLimit(t *testing.T) {
	t.Parallel()
	for _, want := range []memoryPlan{
		{limitMiB: 1536, globalsMiB: 416, routinesMiB: 80, gmheapKiB: 256000, jrnbufsMiB: 64, processesMiB: 384},
		{limitMiB: 2048, globalsMiB: 772, routinesMiB: 80, gmheapKiB: 256000, jrnbufsMiB: 64, processesMiB: 512},
		{limitMiB: 4096, globalsMiB: 2074, routinesMiB: 207, gmheapKiB: 256000, jrnbufsMiB: 64, processesMiB: 1024},
		{limitMiB: 16384, globalsMiB: 9833, routinesMiB: 983, gmheapKiB: 302069, jrnbufsMiB: 64, processesMiB: 4096},
		{limitMiB: 65536, globalsMiB: 43009, routinesMiB: 1020, gmheapKiB: 1321236, jrnbufsMiB: 64, processesMiB: 16384},
	} {
		t.Run(fmt.Sprintf("%dMi", want.limitMiB), func(t *testing.T) {
			t.Parallel()
			got := planMemory(want.limitMiB*mib, Config{})
			if got != want {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
			if got.sumMiB() > got.limitMiB || got.limitMiB-got.sumMiB() > 3 {
				t.Errorf("%s does not fill %d MiB", got.sum(), got.limitMiB)
			}
		})
	}
}

func TestPlanMemory_TakesWhatIsSet(t *testing.T) {
	t.Parallel()
	got := planMemory(4*gib, Config{GlobalsMiB: 500, RoutinesMiB: 100, GmheapKiB: 300000, JournalBuffersMiB: 96})
	want := memoryPlan{
		limitMiB: 4096, globalsMiB: 500, routinesMiB: 100, gmheapKiB: 300000, jrnbufsMiB: 96, processesMiB: 1024,
	}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	// What is set makes room for the rest, and nothing else.
	if with := planMemory(4*gib, Config{GmheapKiB: 1 << 20}); with.globalsMiB >= planMemory(4*gib, Config{}).globalsMiB {
		t.Errorf("a larger heap leaves the cache at %d MiB", with.globalsMiB)
	}
}

func TestPlanMemory_ShowsASumThatDoesNotFit(t *testing.T) {
	t.Parallel()
	err := community(func(c *Config) { c.Memory, c.GlobalsMiB = "4Gi", 3072 }).Validate()
	const want = `iris.memory: got "4Gi", want room for what is set (limit 4096 MiB): globals 3072 MiB + 8 % + ` +
		`routines 307 MiB + 2 % + gmheap 256000 KiB + journal buffers 64 MiB + fixed 306 MiB + processes 1024 MiB = 5276 MiB`
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestPlanMemory_RefusesTooLittleForACache(t *testing.T) {
	t.Parallel()
	err := community(func(c *Config) { c.Memory, c.GmheapKiB = "2Gi", 1_000_000 }).Validate()
	if err == nil || !strings.Contains(err.Error(), "enough for a cache of 128 MiB") {
		t.Errorf("got %v", err)
	}
}
