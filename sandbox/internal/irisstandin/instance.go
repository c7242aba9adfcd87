package irisstandin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// phase is how far an instance is.
type phase int32

const (
	starting  phase = iota // Recovers: nobody is admitted.
	inhibited              // Up, waits for an administrator after a failed recovery (facts 5.2).
	early                  // Says "running" and listens, but admits nobody yet (facts 2.9).
	admitting
	stopping
)

// instance is a running IRIS: one process, irisdb, where IRIS has several.
type instance struct {
	settings  Settings
	version   string
	edition   Edition
	host      string
	since     time.Time
	phase     atomic.Int32
	before    state // What the run before left.
	cpf       *cpf  // What the instance started with.
	log       *messages
	store     *store
	users     *users
	guard     *guard
	licenses  licenses
	listeners []net.Listener
	stop      context.CancelFunc
	forget    atomic.Bool

	namesMu    sync.Mutex
	namespaces map[string]string // Namespace to database.
	databases  map[string]string // Database to directory.
}

func (i *instance) at() phase { return phase(i.phase.Load()) }

func (i *instance) is(next phase) { i.phase.Store(int32(next)) }

// RunInstance is the process of an instance. It calls started once the start has ended, and returns after an orderly stop.
func RunInstance(ctx context.Context, s Settings, started func(error)) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	i := &instance{settings: s, stop: stop, since: time.Now(), namespaces: map[string]string{}, databases: map[string]string{}}
	err := i.begin(ctx)
	started(err)
	if err != nil {
		return errors.Join(err, i.abandon())
	}
	go i.writeDaemon(ctx)
	<-ctx.Done()
	return i.end()
}

// begin is a start, in the order in which IRIS does it.
func (i *instance) begin(ctx context.Context) error {
	s := i.settings
	installed, err := readInstallation(s.InstallDir)
	if err != nil {
		return err
	}
	i.version, i.edition = installed.Version, installed.Edition
	i.licenses.limit = 0
	if i.edition == Community {
		i.licenses.limit = communityConnections
	}
	if err := s.checkCores(i.edition); err != nil {
		return err
	}
	if i.host, err = os.Hostname(); err != nil {
		return fmt.Errorf("read the host name: %w", err)
	}
	i.log = &messages{path: s.mgr("messages.log")}
	if i.guard, err = s.takeGuard(); err != nil {
		return err
	}
	actions, err := i.configure()
	if err != nil {
		i.log.add(3, "%v", err)
		return err
	}
	if err := i.openControl(); err != nil {
		return err
	}
	if err := i.recoverData(ctx); err != nil {
		return err
	}
	if i.at() == inhibited {
		return nil
	}
	return i.admit(ctx, actions)
}

// configure merges the merge file into iris.cpf, before everything else and at every start (facts 2.7).
func (i *instance) configure() ([]cpfKey, error) {
	s := i.settings
	before, known, err := s.readState()
	if err != nil {
		return nil, err
	}
	if known {
		if err := checkUpgrade(before, i.version); err != nil {
			return nil, err
		}
	}
	i.before = before
	current, err := readCPF(s.cpfPath())
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	if err := current.check(s.cpfPath()); err != nil {
		return nil, err
	}
	var actions []cpfKey
	if s.MergeFile != "" {
		actions, err = i.mergeInto(current, s.MergeFile)
		if errors.Is(err, os.ErrNotExist) {
			i.log.add(2, "CPF merge file %s does not exist: starting without it", s.MergeFile) // Facts 2.7: a line, no end.
		} else if err != nil {
			return nil, err
		}
	}
	i.cpf = current
	i.names(current)
	if known && compareVersions(before.Version, i.version) < 0 {
		i.log.add(0, "Upgrading the instance's data from %s to %s", before.Version, i.version)
	}
	return actions, i.recordStart()
}

// recordStart notes that the instance runs, so that a crash is found, and what of the run before still matters.
func (i *instance) recordStart() error {
	now := state{Version: i.version, Host: i.host, Running: true, CrashedAt: i.before.CrashedAt}
	if i.before.Running {
		now.CrashedAt = time.Now().Unix()
		i.log.add(2, "Previous system shutdown was abnormal, system forced down or crashed") // Facts 2.6.
	}
	if i.before.Host != "" && i.before.Host != i.host {
		i.log.add(2, "The system appears to have failed over from node %s", i.before.Host) // Facts 2.6.
	}
	if err := i.settings.writeState(now); err != nil {
		return err
	}
	return writeSynced(i.settings.mgr("iris.ids"), []byte(i.host))
}

func (i *instance) mergeInto(current *cpf, path string) ([]cpfKey, error) {
	from, err := readCPF(path)
	if err != nil {
		return nil, err
	}
	actions, err := current.merge(path, from)
	if err != nil {
		return nil, err
	}
	if err := checkActions(path, actions); err != nil {
		return nil, err
	}
	if err := replaceSynced(i.settings.cpfPath(), []byte(current.render())); err != nil {
		return nil, fmt.Errorf("write the configuration: %w", err)
	}
	return actions, nil
}

// recoverData mounts the databases, after a crash with the WIJ and the journal. What cannot be recovered leaves the
// instance up and closed (facts 5.2).
func (i *instance) recoverData(ctx context.Context) error {
	s := i.settings
	wait := s.WarmStart
	if i.before.Running {
		wait += s.Recovery
	}
	if err := pause(ctx, wait); err != nil {
		return err
	}
	opts := storeOptions{
		wijPath: s.mgr("IRIS.WIJ"), journalDir: s.mgr("journal"), cycle: s.JournalCycle, patience: s.JournalPatience,
		freezeOnError: i.cpf.get("Journal", "FreezeOnError") == "1",
		synchronous:   i.cpf.get("Miscellaneous", "SynchCommit") == "1",
		buffers:       i.cpf.number("config", "jrnbufs", 64) << 20,
	}
	if dir := i.cpf.get("Journal", "CurrentDirectory"); dir != "" {
		opts.journalDir = filepath.Clean(dir)
	}
	if i.edition == Community {
		opts.limit = s.DataLimit
	}
	i.store = newStore(opts, i.log)
	if err := i.recoverDatabases(); err != nil {
		i.log.add(3, "%v: starting in single-user mode, sign-on inhibited", err)
		if errors.Is(err, errMismatch) {
			_ = writeSynced(mismatch(s.mgr()), []byte(err.Error()+"\n"))
		}
		i.is(inhibited)
	}
	return nil
}

func (i *instance) recoverDatabases() error {
	if i.before.Running {
		restored, err := restore(i.store.opts.wijPath)
		if err != nil {
			return err
		}
		i.log.add(0, "Write image journal: %d files restored", restored)
	}
	for _, dir := range i.databaseDirs() {
		writable, err := lockDatabase(dir, i.settings.Instance)
		if err != nil {
			return err
		}
		if !writable {
			i.log.add(2, "%s is locked by another configuration: mounted read-only", dir)
		}
		if err := i.store.mount(dir, writable); err != nil {
			return err
		}
	}
	if i.before.Running {
		done, err := i.store.rollForward()
		if err != nil {
			return err
		}
		i.log.add(0, "Journal recovery: %d changes rolled forward, %d open transactions rolled back", done.applied, done.rolledBack)
	}
	if err := i.store.run(); err != nil {
		return err
	}
	if err := i.store.checkpoint(); err != nil {
		return err
	}
	return purgeJournal(i.store.opts.journalDir, i.cpf.number("Journal", "DaysBeforePurge", 2))
}

// admit opens the ports and lets users in. "running" shows a little before that (facts 2.9).
func (i *instance) admit(ctx context.Context, actions []cpfKey) error {
	var err error
	if i.users, err = openUsers(i.settings.mgr("irissecurity", "standin-users.json")); err != nil {
		return err
	}
	if err := i.users.setInitial(i.cpf.get("Startup", "PasswordHash")); err != nil {
		return fmt.Errorf("[Startup] PasswordHash: %w", err)
	}
	if err := i.act(actions); err != nil {
		i.log.add(3, "%v", err)
		return err
	}
	if err := i.openPorts(ctx); err != nil {
		return err
	}
	i.is(early)
	if err := pause(ctx, i.settings.LoginDelay); err != nil {
		return err
	}
	i.is(admitting)
	i.log.add(0, "InterSystems IRIS stand-in %s is up", i.version)
	return nil
}

func (i *instance) writeDaemon(ctx context.Context) {
	if i.at() == inhibited {
		return
	}
	for pause(ctx, i.settings.WriteCycle) == nil {
		if err := i.store.checkpoint(); err != nil {
			i.log.add(2, "%v", err)
		}
	}
}

// end is an orderly stop, forced after ShutdownTimeout (facts 2.3): the process then ends as in a crash.
func (i *instance) end() error {
	wasInhibited := i.at() == inhibited
	i.is(stopping)
	i.closeListeners()
	limit := time.Duration(i.cpf.number("Startup", "ShutdownTimeout", 300)) * time.Second
	ended := make(chan error, 1)
	go func() { ended <- i.shutDown(wasInhibited) }()
	select {
	case err := <-ended:
		return errors.Join(err, i.guard.release())
	case <-time.After(limit):
		i.log.add(3, "The shutdown took longer than %s: forced", limit)
		return fmt.Errorf("the shutdown took longer than %s: forced", limit)
	}
}

func (i *instance) shutDown(wasInhibited bool) error {
	i.log.add(0, "Shutdown started")
	time.Sleep(i.settings.Stop)
	if wasInhibited {
		return nil // Nothing was recovered: the next start has to do it.
	}
	if err := i.store.close(); err != nil {
		return err
	}
	for _, dir := range i.store.directories() {
		isWritable := false
		if err := i.store.read(dir, func(db *database) { isWritable = db.writable }); err != nil {
			return err
		}
		if isWritable {
			if err := unlockDatabase(dir); err != nil {
				return fmt.Errorf("unlock %s: %w", dir, err)
			}
		}
	}
	last := state{Version: i.version, Host: i.host, CrashedAt: i.before.CrashedAt}
	if i.before.Running {
		last.CrashedAt = i.since.Unix()
	}
	if i.forget.Load() {
		last.Host = ""
	}
	if err := i.settings.writeState(last); err != nil {
		return err
	}
	_ = os.Remove(i.settings.mgr("iris.ids"))
	i.log.add(0, "Shutdown complete")
	return nil
}

// abandon is the end of a start that failed.
func (i *instance) abandon() error {
	i.closeListeners()
	if i.guard == nil {
		return nil
	}
	return i.guard.release()
}

// forgetHost is SYS.Container.PreventFailoverMessage: the next host is not taken for a failover (facts 2.6).
func (i *instance) forgetHost() { i.forget.Store(true) }

func (i *instance) names(current *cpf) {
	i.namesMu.Lock()
	defer i.namesMu.Unlock()
	if section := current.section("Databases", false); section != nil {
		for _, key := range section.keys {
			i.databases[strings.ToUpper(key.name)] = databaseDir(i.settings.root(), key.value)
		}
	}
	if section := current.section("Namespaces", false); section != nil {
		for _, key := range section.keys {
			database, _, _ := strings.Cut(key.value, ",")
			i.namespaces[strings.ToUpper(key.name)] = strings.ToUpper(database)
		}
	}
}

func (i *instance) namespace(name string) (canonical, dir string, found bool) {
	i.namesMu.Lock()
	defer i.namesMu.Unlock()
	canonical = strings.ToUpper(name)
	database, found := i.namespaces[canonical]
	return canonical, i.databases[database], found
}

func (i *instance) databaseDirs() []string {
	i.namesMu.Lock()
	defer i.namesMu.Unlock()
	var dirs []string
	for _, dir := range i.databases {
		dirs = append(dirs, dir)
	}
	return dirs
}
