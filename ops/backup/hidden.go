package main

import "regexp"

// When a mount or a request fails Longhorn repeats the command with its options, as of a CIFS share mount's -o username=...,password=...; this command does
// not know the target's login to look for it. So what follows the name of a secret is taken out: in JSON, in YAML, as an option or as a variable.
// A password may have anything in it but what ends an option. Words that errors have too ("credentials: no role found") are names only with a
// quote or an equals sign. The agent has the same for its events (agent/internal/kube), in a module of its own.
var (
	login = regexp.MustCompile(`(?i)((?:pass(?:word|wd|phrase)?|(?:secret|account|access|shared)[-_ ]?(?:access[-_ ]?)?key|authorization)[\\"']*\s*[=:]\s*` +
		`|(?:signature|sig|token|credentials?)(?:[\\"']*\s*=|[\\"']+\s*:)\s*)[^,\n]+`)
	// userInfo is the login in an address. Without a colon it is a bucket, as in s3://bucket@region/.
	userInfo = regexp.MustCompile(`(://[^/\s:@]*:)[^\s@]+(?:@[^\s@/]*)*@`)
)

// hidden takes logins out of a text of Longhorn's, before the table repeats it.
func hidden(text string) string {
	return login.ReplaceAllString(userInfo.ReplaceAllString(text, "${1}[secret]@"), "${1}[secret]")
}
