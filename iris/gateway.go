package iris

import (
	"fmt"
	"strings"
)

// The portal is served by one of two web servers, and both log in to IRIS as CSPSystem, whose password this program
// changes (password.go):
//
//   - the Community image's own, configured by files on the data volume: webServerScript adapts them after the start;
//   - the Web Gateway in a container beside IRIS, configured by the two files below.
//
// Neither file has the password. Both have a command that prints it, which the gateway runs and keeps in memory
// (ADOCK 5.5.4).

const (
	passwordDir = "/run/ha-iris/password"
	tlsDir      = "/run/ha-iris/tls"
	gatewayDir  = "/run/ha-iris/web-gateway"
	// gatewayUser is the account that the vendor's own CSP.ini uses (ADOCK 5.5.4).
	gatewayUser = "CSPSystem"
)

func passwordCommand() string { return "{cat " + passwordDir + "/" + passwordFile + "}" }

// gatewayINI says which IRIS the Web Gateway talks to: the one in the same pod.
func gatewayINI(cfg Config) string {
	if !cfg.usesWebGateway() {
		return ""
	}
	var text strings.Builder
	fmt.Fprintln(&text, "[SYSTEM]")
	// The gateway's own management pages answer only from inside the pod; they have a password of their own that would
	// have to be encrypted first (ADOCK 5.5.4).
	fmt.Fprintln(&text, "System_Manager=127.0.0.1")
	fmt.Fprintln(&text, "\n[SYSTEM_INDEX]\nLOCAL=Enabled")
	fmt.Fprintf(&text, "\n[LOCAL]\nIp_Address=127.0.0.1\nTCP_Port=%d\nUsername=%s\nPassword=%s\n",
		superserverPort, gatewayUser, passwordCommand())
	// The portal's links are absolute (/csp/sys/...), so the gateway serves this one instance at the root.
	paths := []string{"/", "/csp", "/api", "/isc"}
	fmt.Fprintln(&text, "\n[APP_PATH_INDEX]")
	for _, path := range paths {
		fmt.Fprintf(&text, "%s=Enabled\n", path)
	}
	for _, path := range paths {
		fmt.Fprintf(&text, "\n[APP_PATH:%s]\nDefault_Server=LOCAL\n", path)
	}
	return text.String()
}

// gatewayConf hands every request to the gateway, and serves TLS on the image's port when there is a certificate.
func gatewayConf(cfg Config) string {
	if !cfg.usesWebGateway() {
		return ""
	}
	lines := []string{
		`CSPModulePath "${ISC_PACKAGE_INSTALLDIR}/bin/"`,
		`CSPConfigPath "${ISC_PACKAGE_INSTALLDIR}/bin/"`,
		"<Location />",
		"    CSP On",
		"</Location>",
		// The directory of the module also has the configuration and the log.
		`<Directory "${ISC_PACKAGE_INSTALLDIR}/bin/">`,
		"    AllowOverride None",
		"    Options None",
		"    Require all denied",
		"</Directory>",
	}
	if cfg.TLSSecret != "" {
		lines = append(lines,
			fmt.Sprintf("<VirtualHost *:%d>", portalPort),
			"    SSLEngine on",
			"    SSLProtocol -all +TLSv1.2 +TLSv1.3",
			"    SSLCertificateFile "+tlsDir+"/tls.crt",
			"    SSLCertificateKeyFile "+tlsDir+"/tls.key",
			"</VirtualHost>",
		)
	}
	return strings.Join(lines, "\n") + "\n"
}

// webServerScript gives the image's own web server the password of CSPSystem. IRIS runs it after each start
// (iris-main --after), where a failure would end the container. A database whose portal does not open is better than none, so
// the script reports and succeeds. RELOAD=1 makes the web server read the file again within a minute (ADOCK 5.5.3).
func webServerScript(cfg Config) string {
	if cfg.usesWebGateway() {
		return ""
	}
	return `#!/bin/sh
# Written by ha-iris. Adapts the web server's CSP.ini to the password of ` + gatewayUser + `.
adapt() {
    grep -qF 'Password=` + passwordCommand() + `' "$1" && return 0
    awk '
        /^\[/ { section = toupper($0); sub(/[ \t\r]+$/, "", section) }
        section == "[LOCAL]" && toupper($0) ~ /^(USERNAME|PASSWORD)[ \t]*=/ { next }
        section == "[SYSTEM]" && toupper($0) ~ /^RELOAD[ \t]*=/ { next }
        { print }
        $0 ~ /^\[/ && section == "[LOCAL]" { print "Username=` + gatewayUser + `"; print "Password=` + passwordCommand() + `" }
        $0 ~ /^\[/ && section == "[SYSTEM]" { print "RELOAD=1" }
    ' "$1" > "$1.ha-iris" && cat "$1.ha-iris" > "$1" && rm -f "$1.ha-iris"
}
for file in "$ISC_DATA_DIRECTORY/csp/bin/CSP.ini" "$ISC_PACKAGE_INSTALLDIR/csp/bin/CSP.ini"; do
    [ -f "$file" ] || continue
    adapt "$file" || echo "ha-iris: cannot adapt $file; the portal may refuse to open" >&2
done
exit 0
`
}
