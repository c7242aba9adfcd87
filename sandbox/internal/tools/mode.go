package tools

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Mode says where tools that are not there yet may come from.
type Mode string

// The modes. What lies on PATH and fits is used in each.
const (
	// Auto downloads what a project releases and builds what cannot be downloaded.
	Auto Mode = "auto"
	// DownloadOnly builds nothing: what is neither there nor released is an error.
	DownloadOnly Mode = "download"
	// BuildOnly asks no release page and does not use what came from one.
	BuildOnly Mode = "build"
)

// The environment variables that decide, as the messages name them.
const (
	modeVariable   = "SANDBOX_TOOLS"
	mirrorVariable = "SANDBOX_RELEASES"
)

// parseMode reads SANDBOX_TOOLS. Empty is auto.
func parseMode(value string) (Mode, error) {
	modes := []Mode{Auto, BuildOnly, DownloadOnly}
	if value == "" {
		return Auto, nil
	}
	if !slices.Contains(modes, Mode(value)) {
		return "", fmt.Errorf("%s is %q: want one of %v", modeVariable, value, modes)
	}
	return Mode(value), nil
}

// parseMirror reads SANDBOX_RELEASES: the URL below which a mirror keeps the release pages, each host a directory. Empty is
// no mirror.
func parseMirror(value string) (string, error) {
	if value == "" {
		return "", nil
	}
	parsed, err := url.Parse(value)
	if err != nil || parsed.Host == "" || parsed.Scheme != "http" && parsed.Scheme != "https" || parsed.RawQuery != "" {
		return "", fmt.Errorf("%s is %q: want a URL such as https://mirror.example.com/releases", mirrorVariable, redacted(value))
	}
	return strings.TrimSuffix(value, "/"), nil
}

// redacted leaves out what stands before the host, where a password may be.
func redacted(address string) string {
	if scheme, rest, found := strings.Cut(address, "://"); found {
		return scheme + "://" + rest[strings.LastIndex(rest, "@")+1:]
	}
	return address
}
