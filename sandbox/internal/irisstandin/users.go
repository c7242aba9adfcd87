package irisstandin

import (
	"crypto/pbkdf2"
	"crypto/sha1" //nolint:gosec // One of the algorithms that IRIS allows.
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
)

const defaultPassword = "SYS"

// passwordHash is [Startup] PasswordHash and the like: hash, salt, work factor, algorithm (facts 3.3).
type passwordHash struct {
	Hash      string `json:"hash"`
	Salt      string `json:"salt"`
	Rounds    int    `json:"rounds"`
	Algorithm string `json:"algorithm"`
}

func algorithms(name string) (func() hash.Hash, bool) {
	made, found := map[string]func() hash.Hash{
		"SHA1": sha1.New, "SHA224": sha256.New224, "SHA256": sha256.New, "SHA384": sha512.New384, "SHA512": sha512.New,
	}[strings.ToUpper(name)]
	return made, found
}

// parseHash takes the missing fields from today's defaults, 10000 and SHA512; lengths must fit the algorithm (facts 3.3).
func parseHash(text string) (passwordHash, error) {
	fields := strings.Split(text, ",")
	if len(fields) < 2 || len(fields) > 4 {
		return passwordHash{}, errors.New("want hash,salt[,workfactor,algorithm]")
	}
	found := passwordHash{fields[0], fields[1], 10000, "SHA512"}
	if len(fields) > 2 {
		rounds, err := strconv.Atoi(fields[2])
		if err != nil || rounds < 1 {
			return passwordHash{}, errors.New("the work factor is no number")
		}
		found.Rounds = rounds
	}
	if len(fields) > 3 {
		found.Algorithm = fields[3]
	}
	algorithm, known := algorithms(found.Algorithm)
	if !known {
		return passwordHash{}, errors.New("the algorithm is none of SHA1, SHA224, SHA256, SHA384, SHA512")
	}
	if raw, err := hex.DecodeString(found.Hash); err != nil || len(raw) != algorithm().Size() {
		return passwordHash{}, errors.New("the hash's length does not fit the algorithm")
	}
	return found, nil
}

// matches computes with the salt's hex-decoded bytes, checked against public samples (facts 3.3).
func (p passwordHash) matches(password string) bool {
	algorithm, known := algorithms(p.Algorithm)
	salt, err := hex.DecodeString(p.Salt)
	if err != nil {
		salt = []byte(p.Salt)
	}
	want, hexErr := hex.DecodeString(p.Hash)
	if !known || hexErr != nil {
		return false
	}
	got, err := pbkdf2.Key(algorithm, password, salt, p.Rounds, len(want))
	return err == nil && subtle.ConstantTimeCompare(got, want) == 1
}

func newHash(password string) (passwordHash, error) {
	salt := sha512.Sum512([]byte("stand-in " + password)) // No secrets live here; the same salt keeps the file the same.
	made, err := pbkdf2.Key(sha512.New, password, salt[:], 10000, sha512.Size)
	return passwordHash{hex.EncodeToString(made), hex.EncodeToString(salt[:]), 10000, "SHA512"}, err
}

// user is an account. Its roles only matter for PasswordHash.
type user struct {
	Name           string       `json:"name"`
	Enabled        bool         `json:"enabled"`
	HasRole        bool         `json:"hasRole"`
	Default        bool         `json:"default"` // Still has the default password.
	ChangePassword bool         `json:"changePassword"`
	Password       passwordHash `json:"password"`
}

// users is the security database, IRISSECURITY since 2025.2 (facts 2.4).
type users struct {
	mu   sync.Mutex
	path string
	list []*user
}

func openUsers(path string) (*users, error) {
	u := &users{path: path}
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return u, u.predefine()
	}
	if err == nil {
		err = json.Unmarshal(content, &u.list)
	}
	if err != nil {
		return nil, fmt.Errorf("read the accounts: %w", err)
	}
	return u, nil
}

// predefine makes the vendor's accounts with the default password, to be changed at the first login (facts 3.3).
func (u *users) predefine() error {
	password, err := newHash(defaultPassword)
	if err != nil {
		return fmt.Errorf("hash the default password: %w", err)
	}
	for _, name := range []string{"_SYSTEM", "SuperUser", "Admin", "irisowner", "_Ensemble", "CSPSystem"} {
		isGateway := name == "CSPSystem"
		u.list = append(u.list, &user{name, true, !isGateway, true, !isGateway, password})
	}
	return u.save()
}

func (u *users) save() error {
	content, err := json.MarshalIndent(u.list, "", " ")
	if err == nil {
		err = replaceSynced(u.path, content)
	}
	if err != nil {
		return fmt.Errorf("write the accounts: %w", err)
	}
	return nil
}

func (u *users) find(name string) *user {
	i := slices.IndexFunc(u.list, func(known *user) bool { return strings.EqualFold(known.Name, name) })
	if i < 0 {
		return nil
	}
	return u.list[i]
}

// setInitial is [Startup] PasswordHash: enabled predefined accounts with a role, only while they have the default
// password. The account still has to change it at the first login (facts 3.3).
func (u *users) setInitial(text string) error {
	if text == "" {
		return nil
	}
	parsed, err := parseHash(text)
	if err != nil {
		return err
	}
	return u.replaceDefaults(parsed, false)
}

// setFromFile is --password-file, which changes CSPSystem too (facts 3.3).
func (u *users) setFromFile(password string) error {
	made, err := newHash(password)
	if err != nil {
		return err
	}
	return u.replaceDefaults(made, true)
}

func (u *users) replaceDefaults(password passwordHash, gateway bool) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	changed := false
	for _, account := range u.list {
		if account.Enabled && account.Default && (account.HasRole || gateway) {
			account.Password, account.Default, changed = password, false, true
		}
	}
	if !changed {
		return nil
	}
	return u.save()
}

// login says whether the password is right and whether it has to be changed first.
func (u *users) login(name, password string) (ok, change bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	account := u.find(name)
	if account == nil || !account.Enabled || !account.Password.matches(password) {
		return false, false
	}
	return true, account.ChangePassword
}

// modify is the action ModifyUser or CreateUser; one of an account that is not there does nothing (facts 3.4).
func (u *users) modify(properties map[string]string, create bool) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	account := u.find(properties["name"])
	if account == nil && !create {
		return nil
	}
	if account == nil {
		account = &user{Name: properties["name"], Enabled: true, HasRole: properties["roles"] != ""}
		u.list = append(u.list, account)
	}
	if text, given := properties["passwordhash"]; given {
		parsed, err := parseHash(text)
		if err != nil {
			return err
		}
		account.Password, account.Default = parsed, false
	}
	if text, given := properties["password"]; given {
		made, err := newHash(text)
		if err != nil {
			return err
		}
		account.Password, account.Default = made, false
	}
	if text, given := properties["changepassword"]; given {
		account.ChangePassword = text == "1"
	}
	if text, given := properties["enabled"]; given {
		account.Enabled = text == "1"
	}
	return u.save()
}

// unexpire is Security.Users.UnExpireUserPasswords (facts 3.3).
func (u *users) unexpire() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, account := range u.list {
		account.ChangePassword = false
	}
	return u.save()
}
