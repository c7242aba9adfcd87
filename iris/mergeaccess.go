package iris

import (
	"fmt"
	"strconv"
	"strings"
)

// accountRules are for the accounts whose password the program sets at every start (password.go).
func accountRules() []mergeRule {
	var managed []string
	for _, account := range accounts() {
		managed = append(managed, strings.ToLower(account))
	}
	const instead = "the secret irisPassword, which sets the password of the predefined accounts at every start"
	gateway := []string{strings.ToLower(gatewayUser)}
	const gatewayWhy = "the web server logs in as " + gatewayUser
	return []mergeRule{
		{object: "user", property: "passwordhash", of: managed, got: aValue, want: never(instead)},
		{object: "user", property: "password", of: managed, got: "a password in clear", want: never(instead)},
		{object: "user", property: "changepassword", of: managed, want: only("ChangePassword 0, or none: irisPassword is set "+
			"at every start", "0")},
		{object: "user", property: "passwordneverexpires", of: managed, want: only("PasswordNeverExpires 1, or none: "+
			"irisPassword is set at every start", "1")},
		{object: "user", property: "enabled", of: gateway, want: enabled(gatewayWhy)},
		{object: "user", property: "expirationdate", of: gateway, want: only("no ExpirationDate: "+gatewayWhy, "", "0")},
		{object: "user", property: "accountneverexpires", of: gateway, want: enabled(gatewayWhy)},
		{object: "user", property: "autheenabled", of: gateway, want: admits(authePassword, gatewayWhy+" with a password")},
		{object: "user", property: "roles", of: gateway, want: func(value string) string {
			if strings.Trim(value, ", ") == "" {
				return "roles, or no Roles: " + gatewayWhy + ", and needs those that the account has"
			}
			return ""
		}},
		{
			object: "user", property: propertyDeleted, of: gateway, got: "DeleteUser for " + gatewayUser,
			want: never("this account left alone: " + gatewayWhy),
		},
	}
}

// accessRules are for what the web server, Prometheus and the Service's clients come in through.
func (c Config) accessRules() []mergeRule {
	// Up to 2020 the service was called %Service_CSP (GSA).
	gateway := []string{"%service_webgateway", "%service_csp"}
	const gatewayWhy = "the portal and the REST services come in through this service"
	const passwordWhy = "the web server logs in with a password"
	rules := []mergeRule{
		{object: "service", property: "enabled", of: gateway, want: enabled(gatewayWhy)},
		{object: "service", property: propertyDeleted, of: gateway, want: never("this service left alone: " + gatewayWhy)},
		{object: "service", property: "autheenabled", of: gateway, want: admits(authePassword, passwordWhy)},
		{object: "service", property: "clientsystems", of: gateway, want: localClients},
	}
	superserver := func(property string, want func(string) string) {
		rules = append(rules, mergeRule{
			object: propertyServer, property: property, key: propertyPort, of: []string{strconv.Itoa(superserverPort)}, want: want,
		})
	}
	const portalWhy = "the web server reaches IRIS through this port"
	superserver(propertyDeleted, never("this superserver left alone: "+portalWhy))
	superserver("enabled", enabled(portalWhy))
	superserver("enablecsp", enabled(portalWhy))
	// 2 is "required" (Security.Servers; Security.System before it had several superservers).
	const plain = "0 or 1: the web server in the pod does no TLS on this port"
	superserver("sslsupportlevel", only(plain, "0", "1"))
	rules = append(rules, mergeRule{object: "system", property: "sslsuperserver", want: only(plain, "0", "1")})
	system := admits(authePassword, passwordWhy)
	if c.Service.Superserver {
		const why = "iris.service.superserver is true"
		superserver("enableclients", enabled(why))
		bindings := []string{"%service_bindings"}
		rules = append(
			rules,
			mergeRule{object: "service", property: "enabled", of: bindings, want: enabled(why)},
			mergeRule{object: "service", property: propertyDeleted, of: bindings, want: never("this service left alone: " + why)},
		)
	}
	if c.Metrics == Annotations || c.Metrics == ServiceMonitor {
		monitor, why := []string{"/api/monitor"}, "iris.metrics is "+string(c.Metrics)
		unauthenticated := admits(autheUnauthenticated, why+", and Prometheus sends no password")
		system = both(system, unauthenticated) // What the system does not admit, no application does.
		rules = append(
			rules,
			mergeRule{object: "application", property: "enabled", of: monitor, want: enabled(why)},
			mergeRule{object: "application", property: propertyDeleted, of: monitor, want: never("this application left alone: " + why)},
			mergeRule{object: "application", property: "autheenabled", of: monitor, want: unauthenticated},
		)
	}
	return append(rules, mergeRule{object: "system", property: "autheenabled", want: system})
}

// both refuses what one of two refuses.
func both(one, other func(string) string) func(string) string {
	return func(value string) string {
		if want := one(value); want != "" {
			return want
		}
		return other(value)
	}
}

// authe is a way of authentication, as a bit.
type authe int

const (
	authePassword        authe = 32
	autheUnauthenticated authe = 64
)

// macro is its name in actions, without the dollars (ACMF).
func (a authe) macro() string {
	if a == authePassword {
		return "AuthePassword"
	}
	return "AutheUnauthenticated"
}

// admits takes ways of authentication that have the given one among them.
func admits(way authe, why string) func(string) string {
	return func(value string) string {
		bits, err := strconv.Atoi(value)
		if (err == nil && authe(bits)&way != 0) || strings.Contains(folded(value), folded(way.macro())) {
			return ""
		}
		return fmt.Sprintf("AutheEnabled with %d among its bits, or none: %s", way, why)
	}
}

// localClients takes lists of addresses that have the pod's own among them, from which the web server in it comes (gateway.go).
func localClients(value string) string {
	clients := strings.FieldsFunc(value, func(r rune) bool { return strings.ContainsRune(",; ", r) })
	for _, client := range clients {
		address, _, _ := strings.Cut(client, "|") // Roles may follow.
		if address == "127.0.0.1" || folded(address) == "localhost" {
			return ""
		}
	}
	if len(clients) == 0 {
		return ""
	}
	return "ClientSystems with 127.0.0.1 among them, or none: the web server in the pod comes from there"
}
