package iris

import "strings"

// secretRules are for what must not stand in a stack's file in clear: every property whose name says that it is a secret (secretWords), but
// for those of known classes that only speak of one (Security.*, OAuth2.*).
func secretRules() []mergeRule {
	var rules []mergeRule
	for _, harmless := range []string{
		"changepassword*", "passwordneverexpires", "passwordhash*", "passwordpattern", "passwordexpirationdays",
		"passwordvalidationroutine", "passwordchanged*", "*bypass*", "*passthrough*", "*passive*",
		// How long tokens last, how they are signed, and where they come from.
		"*tokenendpoint*", "*tokenintrospection*", "*tokeninterval", "*tokentimeout", "*tokenlifetime", "*token*alg", "*token*enc",
		"*tokenclass", "*tokentype*", "csrftoken", "returnrefreshtoken", "clientsecretinterval", "clientsecretexpires*",
		// Files, kinds and switches.
		"*privatekeyfile", "*privatekeytype", "hotpkeydisplay", "hotpkeygenerate",
	} {
		rules = append(rules, mergeRule{object: "*", property: harmless, want: anything})
	}
	const password, elsewhere = "a password in clear", "none here: set it in IRIS, once; a merge leaves alone what it does not name"
	for _, word := range strings.Split(secretWords, "|") {
		got, want := "a secret in clear", elsewhere
		if word == "pass" || word == "pwd" {
			got = password
			rules = append(rules, mergeRule{
				object: "user", property: "*" + word + "*", got: got, want: never("PasswordHash=, from the vendor's passwordhash tool"),
			})
		}
		rules = append(rules, mergeRule{object: "*", property: "*" + word + "*", got: got, want: never(want)})
	}
	return rules
}
