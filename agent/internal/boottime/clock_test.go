package boottime

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestClock_CountsFromTheBoot(t *testing.T) {
	t.Parallel()
	clock, err := New()
	if runtime.GOOS != "linux" {
		if err == nil {
			t.Error("a clock without Linux")
		}
		t.Skip("only Linux has the clock")
	}
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile("/proc/uptime")
	if err != nil {
		t.Fatal(err)
	}
	seconds, err := strconv.ParseFloat(strings.Fields(string(content))[0], 64)
	if err != nil {
		t.Fatal(err)
	}
	uptime := time.Duration(seconds * float64(time.Second))
	if got := clock(); got < uptime || got > uptime+10*time.Second {
		t.Errorf("got %v, the machine has been up for %v", got, uptime)
	}
	if id, err := BootID(); err != nil || len(id) != 36 {
		t.Errorf("boot: got %q, %v", id, err)
	}
}
