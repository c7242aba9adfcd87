// Package progress says that something that takes its time still goes on.
package progress

import "time"

// Every calls still with the time so far at each interval, until stop is called. After stop it is not called any more.
func Every(interval time.Duration, still func(soFar time.Duration)) (stop func()) {
	began, done, ended := time.Now(), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				still(time.Since(began).Round(time.Second))
			}
		}
	}()
	return func() {
		close(done)
		<-ended
	}
}
