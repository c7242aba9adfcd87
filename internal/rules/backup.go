package rules

import (
	"slices"
	"strings"
)

// WithoutOptions is a backup's URL with the names of the backup and its volume, and nothing else behind the address: mount options do not say
// which backup it is, and are not for messages. A text without parameters stays as it is.
func WithoutOptions(backup string) string {
	address, parameters, found := strings.Cut(backup, "?")
	if !found {
		return backup
	}
	names := slices.DeleteFunc(strings.Split(parameters, "&"), func(one string) bool {
		return !strings.HasPrefix(one, "backup=") && !strings.HasPrefix(one, "volume=")
	})
	return address + "?" + strings.Join(names, "&")
}
