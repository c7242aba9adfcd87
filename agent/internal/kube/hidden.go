package kube

import "regexp"

// login is what follows the name of a secret. When a mount or a request fails Longhorn repeats the command with its options, as of a CIFS share
// mount's -o username=...,password=...; the agent does not know the target's login to look for it.
var login = regexp.MustCompile(`(?i)((?:pass(?:word|wd|phrase)?|(?:secret|account|access|shared)[-_ ]?(?:access[-_ ]?)?key|signature|sig|token|credentials?)["']?\s*[=:]\s*)` +
	`(?:"[^"]*"|'[^']*'|[^\s,;&"']+)`)

// userInfo is the login in an address.
var userInfo = regexp.MustCompile(`(://)[^/\s@]+@`)

// hidden takes logins out of a text of Longhorn's, before events, logs and results repeat it.
func hidden(text string) string {
	return userInfo.ReplaceAllString(login.ReplaceAllString(text, "${1}[secret]"), "${1}[secret]@")
}
