package irisstandin

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// hashOf is what the vendor's tool prints for a password (facts 3.3).
func hashOf(t *testing.T, password string) string {
	t.Helper()
	made, err := newHash(password)
	if err != nil {
		t.Fatal(err)
	}
	return made.Hash + "," + made.Salt + ",10000,SHA512"
}

func TestPassword_LegacySampleOfTheDocs(t *testing.T) {
	sample, err := parseHash("FBFE8593AEFA510C27FD184738D6E865A441DE98,u4ocm4qh,1024,SHA1")
	if err != nil || !sample.matches("SYS") || sample.matches("sys") {
		t.Errorf("%+v, %v", sample, err)
	}
}

func TestPasswordHash_OnceAndNotForCSPSystem(t *testing.T) {
	u, err := openUsers(filepath.Join(t.TempDir(), "users.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := u.setInitial(hashOf(t, "first-one")); err != nil {
		t.Fatal(err)
	}
	if ok, change := u.login("_system", "first-one"); !ok || !change {
		t.Errorf("login %v, has to change %v", ok, change)
	}
	if ok, _ := u.login("CSPSystem", "SYS"); !ok {
		t.Error("CSPSystem's password was changed")
	}
	if err := u.setInitial(hashOf(t, "second-one")); err != nil {
		t.Fatal(err)
	}
	if ok, _ := u.login("_SYSTEM", "first-one"); !ok {
		t.Error("a second PasswordHash took effect")
	}
	if err := u.modify(properties(`Name=_SYSTEM,ChangePassword=0,PasswordHash="`+hashOf(t, "third-one")+`"`), false); err != nil {
		t.Fatal(err)
	}
	again, err := openUsers(u.path)
	if err != nil {
		t.Fatal(err)
	}
	if ok, change := again.login("_SYSTEM", "third-one"); !ok || change {
		t.Errorf("login %v, has to change %v", ok, change)
	}
	if err := u.modify(map[string]string{"name": "Nobody", "changepassword": "0"}, false); err != nil || u.find("Nobody") != nil {
		t.Errorf("ModifyUser of an account that is not there: %v", err)
	}
}

func TestPassword_FromFileIsDeletedAndReachesCSPSystem(t *testing.T) {
	b := newBox(t)
	path := filepath.Join(b.dir, "password")
	if err := os.WriteFile(path, []byte("from-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.start("-p", path)
	if _, err := os.Stat(path); err == nil {
		t.Error("the file is still there")
	}
	u, err := openUsers(b.data("mgr/irissecurity/standin-users.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"CSPSystem", "_SYSTEM"} {
		if ok, _ := u.login(name, "from-file"); !ok {
			t.Errorf("%s cannot log in", name)
		}
	}
	b.stop()
	b.start("-p", path)
}

func TestPassword_NeverInALog(t *testing.T) {
	b := newBox(t)
	hash := hashOf(t, "a-secret")
	b.merge("PasswordHash=" + hash + "x,y\n")
	r := b.main()
	if b.wait(r) == 0 {
		t.Error("exit code 0")
	}
	b.merge("[Actions]\nModifyUser:Name=Admin,PasswordHash=\"" + hash[1:] + "\"\n")
	second := b.main()
	if b.wait(second) == 0 {
		t.Error("exit code 0")
	}
	if out := r.out.String() + second.out.String(); strings.Contains(out, hash[5:50]) {
		t.Errorf("the hash is in the log:\n%s", out)
	}
}
