package standin

import (
	"context"
	"log/slog"
	"time"

	"k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
)

// syncFunc brings one object in order. It returns when to look again without being told; zero is never.
type syncFunc func(ctx context.Context, key string) (again time.Duration, err error)

// loop calls a syncFunc for each key that is added, one at a time, and again with growing delays while it fails.
type loop struct {
	name  string
	queue workqueue.TypedRateLimitingInterface[string]
	sync  syncFunc
	log   *slog.Logger
}

func newLoop(name string, log *slog.Logger, sync syncFunc) *loop {
	// The longest delay is short: a person waits in front of a sandbox.
	limiter := workqueue.NewTypedItemExponentialFailureRateLimiter[string](100*time.Millisecond, 5*time.Second)
	return &loop{
		name:  name,
		queue: workqueue.NewTypedRateLimitingQueue(limiter),
		sync:  sync,
		log:   log.With("loop", name),
	}
}

func (l *loop) run(ctx context.Context) {
	defer runtime.HandleCrashWithContext(ctx)
	stop := context.AfterFunc(ctx, l.queue.ShutDown)
	defer stop()
	for l.next(ctx) {
	}
}

func (l *loop) next(ctx context.Context) bool {
	key, shutdown := l.queue.Get()
	if shutdown {
		return false
	}
	defer l.queue.Done(key)
	again, err := l.sync(ctx, key)
	if err != nil {
		l.log.Warn("will retry", "key", key, "error", err)
		l.queue.AddRateLimited(key)
		return true
	}
	l.queue.Forget(key)
	if again > 0 {
		l.queue.AddAfter(key, again)
	}
	return true
}

// on adds the keys that a change of a watched object calls for.
func on[T any](informer cache.SharedIndexInformer, add func(object T)) error {
	handle := func(object any) {
		if tombstone, ok := object.(cache.DeletedFinalStateUnknown); ok {
			object = tombstone.Obj
		}
		if typed, ok := object.(T); ok {
			add(typed)
		}
	}
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    handle,
		UpdateFunc: func(_, object any) { handle(object) },
		DeleteFunc: handle,
	})
	return err
}
