package secret

import (
	"encoding/base64"
	"strings"

	"ha-iris/internal/pattern"
)

// NotContent describes what a value is when it is not the content of a file, or "": nothing but blanks, the file's path,
// or something in base64. The description shows nothing of the value.
func (v Value) NotContent() string {
	text := strings.TrimSpace(v.Reveal())
	switch {
	case text == "":
		return "nothing but blanks"
	case !strings.Contains(text, "\n") && pathPattern().MatchString(text):
		return "a path instead of the file's content"
	case isBase64(text):
		return "something in base64 instead of the file's content"
	default:
		return ""
	}
}

// NotLogin describes what a value is when it is not the password or token of an account, or "".
func (v Value) NotLogin() string {
	text := v.Reveal()
	isDocument := strings.HasPrefix(strings.TrimSpace(text), "{") // Google's registries take a key in JSON for a password.
	switch {
	case strings.TrimSpace(text) == "":
		return "nothing but blanks"
	case isDocument && strings.Contains(text, `"auths"`):
		return "docker's config.json instead of the password or token in it"
	case !isDocument && text != strings.TrimSpace(text):
		return "a blank or an end of line at its beginning or end"
	case !isDocument && strings.ContainsAny(text, "\r\n\t"):
		return "several lines"
	case credentialFile().MatchString(text):
		return "a path instead of what is in the file"
	default:
		return ""
	}
}

var (
	// pathPattern matches what begins like a path, or is one name with at most a few directories before it, as in iris.key.
	pathPattern = pattern.Lazy(`^(@|file:|~|\.{0,2}/|[A-Za-z]:[\\/])|^[\w.\\/ -]+\.(key|ya?ml|json|conf|config|txt|lic)$|` +
		`^([\w.-]+[\\/])*(kube)?config$`)
	// credentialFile is narrower: a token may contain slashes, and may begin with one.
	credentialFile = pattern.Lazy(
		`^(@|~/|\.{1,2}/|/(home|root|Users|etc|tmp|run|var|mnt)/|[A-Za-z]:\\)|^[\w./\\-]+\.(json|txt|ya?ml)$`)
	base64Text = pattern.Lazy(`^[A-Za-z0-9+/\s]+={0,2}$`)
)

// isBase64 says whether a text decodes as a whole. Short words do so by chance.
func isBase64(text string) bool {
	const tooShort = 24
	if len(text) < tooShort || !base64Text().MatchString(text) {
		return false
	}
	_, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
	return err == nil
}
