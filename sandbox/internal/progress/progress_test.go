package progress_test

import (
	"testing"
	"time"

	"ha-iris/sandbox/internal/progress"
)

func TestEvery_SpeaksUntilItIsStopped(t *testing.T) {
	t.Parallel()
	said := make(chan time.Duration, 100)
	stop := progress.Every(time.Millisecond, func(soFar time.Duration) { said <- soFar })
	<-said // or the test hangs
	stop()
	for len(said) > 0 {
		<-said
	}
	time.Sleep(10 * time.Millisecond)
	if len(said) > 0 {
		t.Error("it speaks after it was stopped")
	}
}
