package iris

import (
	"ha-iris/internal/pattern"
	"ha-iris/internal/secret"
)

const (
	setLicenseKey = "pulumi config set --secret irisLicenseKey < iris.key"
	// maxLicenseBytes is Kubernetes' limit for a whole Secret, 1 MiB, less what its names need.
	maxLicenseBytes = 1000 * 1024
)

// What every iris.key has: sections, and keys with values. Which ones they are depends on the release and the kind of
// licence, so nothing more is asked for.
var (
	licenseSection = pattern.Lazy(`(?m)^[ \t\x{FEFF}]*\[[^\]\r\n]+\]`)
	licenseSetting = pattern.Lazy(`(?m)^[ \t]*[A-Za-z][^=\r\n]*=[ \t]*[^ \t\r\n]`)
)

// checkLicenseKey returns what is wrong with a licence key, without showing it, or "".
func checkLicenseKey(key secret.Value) string {
	text := key.Reveal()
	switch got := key.NotContent(); {
	case got != "":
		return got
	case len(text) > maxLicenseBytes:
		return "more than fits into a Secret"
	case !licenseSection().MatchString(text) || !licenseSetting().MatchString(text):
		return "a text that has not a section in brackets and settings below it, as every iris.key has"
	default:
		return ""
	}
}
