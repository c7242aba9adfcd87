package iris

import (
	"encoding/hex"
	"strings"
	"testing"

	"ha-iris/internal/secret"
)

// TestPasswordHash_IsIRISFormula checks against a hash of the default password that the vendor's tool made, published in
// InterSystems Developer Community material about CPF merge.
func TestPasswordHash_IsIRISFormula(t *testing.T) {
	t.Parallel()
	const (
		salt = "0a4c463a2fa1e7542b61aa48800091ab688eb0a14bebf536638f411f5454c9343b9aa6402b4694f0a89b624407a5f43f0a38fc35216bb18aab7dc41ef9f056b1"
		hash = "a31d24aecc0bfe560a7e45bd913ad27c667dc25a75cbfd358c451bb595b6bd52bd25c82cafaa23ca1dd30b3b4947d12d3bb0ffb2a717df29912b743a281f97c1"
	)
	decoded, err := hex.DecodeString(salt)
	if err != nil {
		t.Fatal(err)
	}
	got, err := passwordHash(secret.New(defaultPassword), decoded)
	if err != nil {
		t.Fatal(err)
	}
	if want := hash + "," + salt + ",10000,SHA512"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func mustCredentials(t *testing.T, password, scope string) credentials {
	t.Helper()
	made, err := newCredentials(secret.New(password), nil, scope)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func TestCredentials_ChangeWithPasswordAndInstanceOnly(t *testing.T) {
	t.Parallel()
	first := mustCredentials(t, testPassword, "org/project/dev/iris")
	again := mustCredentials(t, testPassword, "org/project/dev/iris")
	if again.merge.Reveal() != first.merge.Reveal() {
		t.Error("every run would show a change")
	}
	for name, other := range map[string]credentials{
		"password": mustCredentials(t, testPassword+"x", "org/project/dev/iris"),
		"instance": mustCredentials(t, testPassword, "org/project/prod/iris"),
	} {
		if other.merge.Reveal() == first.merge.Reveal() {
			t.Errorf("another %s keeps the hashes", name)
		}
	}
}

func TestChecksum_ChangesWithPasswordAndInstanceOnly(t *testing.T) {
	t.Parallel()
	made := func(password, scope string) string { return checksumOf(secret.New(password), scope) }
	first := made(testPassword, "org/project/dev/iris")
	if made(testPassword, "org/project/dev/iris") != first {
		t.Error("every run would roll the pod")
	}
	if made(testPassword+"x", "org/project/dev/iris") == first {
		t.Error("another password keeps the checksum, so IRIS would keep the old one")
	}
	if made(testPassword, "org/project/prod/iris") == first {
		t.Error("instances with the same password can be told by their checksums")
	}
	if strings.Contains(first, testPassword) {
		t.Error("the plaintext is in it")
	}
}

// TestCredentials_CoverEveryAccount: all predefined accounts that accept a password (GSA), without a forced change, and no
// plaintext.
func TestCredentials_CoverEveryAccount(t *testing.T) {
	t.Parallel()
	made := mustCredentials(t, testPassword, "scope")
	text := made.merge.Reveal()
	parsed, err := parseCPF("[Startup]\n" + text)
	if err != nil {
		t.Fatal(err)
	}
	hash := parsed.settings["startup"]["PasswordHash"]
	for _, account := range []string{"_SYSTEM", "SuperUser", "Admin", "_Ensemble", "CSPSystem"} {
		want := "ModifyUser:Name=" + account + ",ChangePassword=0,PasswordNeverExpires=1,PasswordHash=\"" + hash + "\""
		if !strings.Contains(text, want+"\n") {
			t.Errorf("no line %s", want)
		}
	}
	if strings.Contains(text, testPassword) {
		t.Error("the plaintext is in it")
	}
}

func TestCheckPassword_SaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for password, want := range map[string]string{
		"SYS": "default password", "sys": "default password", "short": "5 characters",
		strings.Repeat("x", 129): "129 characters", "with a space": "printable ASCII", "contraseña1": "printable ASCII",
		"tab\tinside": "printable ASCII", "Correct-Horse-7": "", strings.Repeat("x", 128): "", `"quoted"{}$\'`: "",
	} {
		got, _ := checkPassword(secret.New(password))
		if (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("%q: got %q, want %q", password, got, want)
		}
	}
}
