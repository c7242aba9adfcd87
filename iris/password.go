package iris

import (
	"crypto/pbkdf2"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"golang.org/x/crypto/argon2"

	"ha-iris/internal/secret"
)

// How the password reaches IRIS.
//
// IRIS gets its hash. This program computes the hash that IRIS stores, PBKDF2-HMAC-SHA512 with 10,000 rounds (the
// formula is checked against public samples of the vendor's passwordhash tool in password_test.go), and puts it in the
// half of the CPF merge file that comes from a Secret. IRIS merges that file at every start, before it accepts logins:
//
//   - [Startup] PasswordHash sets all enabled predefined accounts that have a role, once, while they still have the
//     default password (RACS). It also reaches accounts that a later image may add.
//   - [Actions] ModifyUser sets the named accounts at every start. That is what makes a changed secret take effect, what
//     covers CSPSystem, which has no role, and what removes the forced change at first login (ACMF 9.3). A Modify action
//     on an account that does not exist does nothing (ACMF 4).
//
// The plaintext is for the web server, which logs in to IRIS as CSPSystem: a file of that Secret, mounted in the container
// that the web server runs in (gateway.go). With the Community image's own one that is IRIS' container.
//
// iris-main's --password-file is not used: it works only while the default password is in place, or else shuts the
// instance down again at every start (ADOCK 5.2.6), and it is reported to fail on 2026.2.

const (
	// The vendor's defaults for PasswordHash; IRIS itself stores its passwords this way (RACS PasswordHash).
	hashRounds    = 10_000
	hashAlgorithm = "SHA512"
	hashBytes     = 64
	// OWASP's figures for Argon2id (Password Storage Cheat Sheet), of those that it calls equal the fastest here: 20 ms, with
	// less memory to fetch first. PBKDF2 at the same strength takes six times as long, at every preview.
	checksumMemoryKiB = 7 * 1024
	checksumPasses    = 5
	checksumThreads   = 1
	checksumBytes     = 8
)

// accounts are the predefined accounts that accept a password (GSA "Predefined User Accounts"; irisowner is not one of
// them, its password is disabled in the image, ADOCK 5.2.6).
func accounts() []string { return []string{"Admin", "CSPSystem", "SuperUser", "_Ensemble", "_SYSTEM"} }

// credentials is everything that is derived from the password.
type credentials struct {
	password secret.Value
	// merge is the second half of the CPF merge file.
	merge secret.Value
	// checksum changes with the password and rolls the pod. It is public, see checksumOf. An output, because it is computed
	// beside everything else: it takes a while, and only the pod needs it.
	checksum pulumi.StringOutput
}

// newCredentials derives the credentials. scope names the instance (organization, project, stack, namespace): two
// instances with the same password have different hashes.
func newCredentials(password secret.Value, actions []string, scope string) (credentials, error) {
	hash, err := passwordHash(password, saltOf(scope))
	if err != nil {
		return credentials{}, err
	}
	checksum := pulumi.String(scope).ToStringOutput().ApplyT(func(scope string) string {
		return checksumOf(password, scope)
	}).(pulumi.StringOutput)
	return credentials{password: password, merge: secret.New(renderCredentials(hash, actions)), checksum: checksum}, nil
}

// saltOf returns the salt for an instance. It is computed instead of drawn, because a new salt at every run would show as
// a change at every preview, and it does not depend on the password, because it stands beside the hash: a salt made from
// the password with anything faster than the hash itself would be the quicker way to guess.
func saltOf(scope string) []byte {
	salt := sha512.Sum512([]byte("ha-iris password salt\x00" + scope))
	return salt[:]
}

// passwordHash returns the four fields of PasswordHash: hash, salt, rounds and algorithm.
func passwordHash(password secret.Value, salt []byte) (string, error) {
	hash, err := pbkdf2.Key(sha512.New, password.Reveal(), salt, hashRounds, hashBytes)
	if err != nil {
		return "", fmt.Errorf("hash the password: %w", err)
	}
	return fmt.Sprintf("%s,%s,%d,%s", hex.EncodeToString(hash), hex.EncodeToString(salt), hashRounds, hashAlgorithm), nil
}

// checksumOf returns a value that changes with the password. It stands in an annotation that everybody may read who may
// list pods, so it must not help to guess: each guess costs more than one against the hash that IRIS itself stores.
func checksumOf(password secret.Value, scope string) string {
	return hex.EncodeToString(argon2.IDKey([]byte(password.Reveal()), []byte("ha-iris checksum\x00"+scope),
		checksumPasses, checksumMemoryKiB, checksumThreads, checksumBytes))
}

// ownCredentialLines is how many lines of renderCredentials' are not iris.actions.
func ownCredentialLines() int { return strings.Count(renderCredentials("", nil), "\n") }

// renderCredentials writes the second half of the merge file. It begins inside [Startup], see cpf.go.
func renderCredentials(hash string, actions []string) string {
	var text strings.Builder
	fmt.Fprintf(&text, "PasswordHash=%s\n\n[%s]\n", hash, sectionActions)
	for _, account := range accounts() {
		// Quoted because of the commas (ACMF 9.3).
		fmt.Fprintf(&text, "ModifyUser:Name=%s,ChangePassword=0,PasswordNeverExpires=1,PasswordHash=%q\n", account, hash)
	}
	for _, action := range actions {
		fmt.Fprintln(&text, action)
	}
	return text.String()
}

const (
	minPasswordLength = 8
	maxPasswordLength = 128 // IRIS' default pattern is 3.128ANP, 8.32ANP in locked-down images (GSA).
	defaultPassword   = "SYS"
	setPassword       = "pulumi config set --secret irisPassword"
)

// checkPassword returns what is wrong with the password, without showing it, and what is valid; or "".
func checkPassword(password secret.Value) (got, want string) {
	text := password.Reveal()
	switch {
	case strings.EqualFold(text, defaultPassword):
		return "the default password, which everybody knows", "another one; set it with: " + setPassword
	case len(text) < minPasswordLength || len(text) > maxPasswordLength:
		return fmt.Sprintf("%d characters", len(text)), fmt.Sprintf("%d to %d; set it with: %s",
			minPasswordLength, maxPasswordLength, setPassword)
	case strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }):
		// IRIS' pattern asks for letters, digits and punctuation; how it encodes others before hashing is not documented.
		return "a character that is not a printable ASCII letter, digit or sign", "ASCII without spaces; set it with: " + setPassword
	default:
		return "", ""
	}
}
