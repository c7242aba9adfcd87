package irisstandin

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// actionOrder is the fixed order of [Actions], whatever the file's: what is created comes before what refers to it, and
// Execute is the last (facts 3.4).
func actionOrder() []string {
	var names []string
	for _, object := range []string{"database", "databasefile", "namespace", "resource", "role", "user", "service", "application", "sslconfig"} {
		names = append(names, "create"+object, "modify"+object, "delete"+object)
	}
	return append(names, "grantprivilege", "configmirror", "configshardedcluster", "execute")
}

func checkActions(path string, actions []cpfKey) error {
	for _, action := range actions {
		if !slices.Contains(actionOrder(), strings.ToLower(action.name)) {
			return &cpfError{path, action.name, "not an action", action.line}
		}
	}
	return nil
}

// act runs actions; they are repeated at every start and at every change of the file, so each may be done already.
func (i *instance) act(actions []cpfKey) error {
	order := actionOrder()
	sorted := slices.Clone(actions)
	slices.SortStableFunc(sorted, func(a, b cpfKey) int {
		return slices.Index(order, strings.ToLower(a.name)) - slices.Index(order, strings.ToLower(b.name))
	})
	for _, action := range sorted {
		_, text, _ := strings.Cut(action.value, ":")
		if err := i.actOne(strings.ToLower(action.name), properties(text)); err != nil {
			return &cpfError{"[Actions]", action.name, err.Error(), action.line} // Not the line: it may have a hash.
		}
	}
	return nil
}

func (i *instance) actOne(name string, given map[string]string) error {
	switch name {
	case "createuser", "modifyuser":
		return i.users.modify(given, name == "createuser")
	case "createdatabase":
		return i.createDatabase(given["name"], given["directory"])
	case "createnamespace":
		return i.register("Namespaces", given["name"], given["globals"])
	case "execute":
		class := strings.ToLower(given["classname"] + "." + given["methodname"])
		if class == "security.users.unexpireuserpasswords" {
			return i.users.unexpire()
		}
		i.log.add(1, "Execute: the stand-in has no class %s", given["classname"])
		return nil
	default:
		i.log.add(0, "%s: accepted, not played by the stand-in", name)
		return nil
	}
}

// createDatabase registers a database and makes its file, unless it is there (facts 3.4).
func (i *instance) createDatabase(name, directory string) error {
	if name == "" || directory == "" {
		return errors.New("a Name and a Directory are needed")
	}
	dir := databaseDir(i.settings.root(), directory)
	path := filepath.Join(dir, databaseFile)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		if err := errors.Join(os.MkdirAll(dir, 0o775), writeSynced(path, nil)); err != nil {
			return fmt.Errorf("ERROR #5001: Cannot create target: %s", dir)
		}
	}
	if !slices.Contains(i.store.directories(), dir) {
		writable, err := lockDatabase(dir, i.settings.Instance)
		if err != nil {
			return err
		}
		if err := i.store.mount(dir, writable); err != nil {
			return err
		}
	}
	return i.register("Databases", name, dir+"/")
}

// register writes a name into iris.cpf, where the next start finds it.
func (i *instance) register(section, name, value string) error {
	if name == "" || value == "" {
		return errors.New("a name and what it stands for are needed")
	}
	current, err := readCPF(i.settings.cpfPath())
	if err != nil {
		return err
	}
	current.section(section, true).set(name, value, 0)
	if err := replaceSynced(i.settings.cpfPath(), []byte(current.render())); err != nil {
		return err
	}
	i.names(current)
	return nil
}

// properties reads "Name=a,PasswordHash="b,c"": a value with commas is in quotes.
func properties(text string) map[string]string {
	found := map[string]string{}
	for text != "" {
		name, rest, _ := strings.Cut(text, "=")
		value := ""
		if quoted, isQuoted := strings.CutPrefix(rest, `"`); isQuoted {
			value, rest, _ = strings.Cut(quoted, `"`)
			rest = strings.TrimPrefix(rest, ",")
		} else {
			value, rest, _ = strings.Cut(rest, ",")
		}
		found[strings.ToLower(strings.TrimSpace(name))] = strings.TrimSpace(value)
		text = rest
	}
	return found
}

// merge is "iris merge" of the running instance, and what happens when the merge file changes (facts 2.7). Memory
// parameters and the like count from the next start on, which is when they are read.
func (i *instance) merge(path string) error {
	if i.at() != admitting {
		return errors.New("the instance does not admit logins")
	}
	current, err := readCPF(i.settings.cpfPath())
	if err != nil {
		return fmt.Errorf("read the configuration: %w", err)
	}
	actions, err := i.mergeInto(current, path)
	if err != nil {
		return err
	}
	i.names(current)
	if err := i.users.setInitial(current.get("Startup", "PasswordHash")); err != nil {
		return err
	}
	i.store.configure(current.get("Miscellaneous", "SynchCommit") == "1", current.get("Journal", "FreezeOnError") == "1")
	return i.act(actions)
}
