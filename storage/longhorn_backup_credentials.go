package storage

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"ha-iris/internal/problems"
)

// wantCredentials is the form of the credentials. A file, because what is typed in a shell stays in its history.
const wantCredentials = "a JSON object of texts such as {\"%s\": \"...\"}; write it into a file and run: pulumi config set --secret " +
	credentialsKey + " < FILE"

// credentials returns what goes into Longhorn's Secret; false if it is no such object. Nothing given is an empty object.
func (c Config) credentials() (map[string]string, bool) {
	given := map[string]string{}
	if !c.BackupCredentials.IsSet() {
		return given, true
	}
	err := json.Unmarshal([]byte(c.BackupCredentials.Reveal()), &given) // Its text could quote a value.
	return given, err == nil && given != nil
}

// checkCredentials adds what Longhorn would not take of the credentials, without a word of them: not even an unknown key is shown,
// which may be a value in the wrong place.
func (c Config) checkCredentials(name string, found *problems.List) {
	scheme := backupSchemes()[name]
	refuse := func(got, want string) { found.AddSecret(credentialsKey, got, want) }
	if scheme.keys == nil {
		if c.BackupCredentials.IsSet() {
			refuse("a value", "nothing with "+name+"://, which has no login; run: pulumi config rm "+credentialsKey)
		}
		return
	}
	given, valid := c.credentials()
	if !valid {
		refuse("something else", fmt.Sprintf(wantCredentials, scheme.keys[0]))
		return
	}
	if !c.BackupCredentials.IsSet() {
		found.AddMissing(credentialsKey, scheme.missing(given)+", in "+fmt.Sprintf(wantCredentials, scheme.keys[0]))
		return
	}
	unknown := 0
	for _, key := range slices.Sorted(maps.Keys(given)) {
		if !slices.Contains(scheme.keys, key) {
			unknown++
			continue
		}
		if wrong := checkCredential(key, given[key]); wrong != "" {
			refuse(key+" with "+wrong, "its value alone")
		}
	}
	if unknown > 0 {
		refuse(fmt.Sprintf("%d of its keys that Longhorn does not know with %s://", unknown, name), "only "+strings.Join(scheme.keys, ", "))
	}
	if missing := scheme.missing(given); missing != "" {
		refuse("an object that lacks them", missing)
	}
}

// checkCredential returns what is wrong with a value; "" if nothing is.
func checkCredential(key, text string) string {
	switch {
	case strings.TrimSpace(text) == "": // An empty AWS_ENDPOINTS fails as an endpoint (engineapi/backups.go).
		return "nothing in it"
	case strings.TrimSpace(text) != text: // Longhorn's webhook refuses the target then.
		return "a blank or an end of line at its beginning or end"
	case strings.HasSuffix(key, "_CERT"):
		if !strings.HasPrefix(text, "-----BEGIN CERTIFICATE-----") {
			return "something that is no certificate in PEM"
		}
	case strings.ContainsAny(text, "\r\n\t"):
		return "several lines"
	case key == "VIRTUAL_HOSTED_STYLE":
		if text != "true" && text != "false" {
			return "something that is not true or false"
		}
	case key == "AWS_ENDPOINTS":
		if !strings.HasPrefix(text, "https://") && !strings.HasPrefix(text, "http://") {
			return "something that is no address (https://...)"
		}
	}
	return ""
}

// allOf returns a scheme's missing for keys that all have to be there.
func allOf(keys ...string) func(map[string]string) string {
	return func(given map[string]string) string {
		for _, key := range keys {
			if given[key] == "" {
				return strings.Join(keys, " and ")
			}
		}
		return ""
	}
}

// missingForS3: a role without keys makes Longhorn look for the credentials that its pods have from their cloud
// (engineapi/backups.go); beside keys it would be ignored.
func missingForS3(given map[string]string) string {
	const want = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_IAM_ROLE_ARN alone where Longhorn's pods have that role"
	id, key, role := given["AWS_ACCESS_KEY_ID"] != "", given["AWS_SECRET_ACCESS_KEY"] != "", given["AWS_IAM_ROLE_ARN"] != ""
	if id && key && !role || role && !id && !key {
		return ""
	}
	return want
}

// redact takes the credentials out of a text that comes from elsewhere, and the target where it is to stay secret. Endpoints stay: who
// is not reached is what such a text is about.
func (c Config) redact(text string) string {
	if c.Secret {
		text = strings.ReplaceAll(text, c.Backup.Target, redacted)
		text = strings.ReplaceAll(text, c.Backup.publicTarget(), redacted)
	}
	given, _ := c.credentials()
	for key, value := range given {
		text = redactValue(text, key, value)
	}
	return text
}

// redacted stands in the place of what is secret.
const redacted = "[secret]"

// redactValue takes one of the credentials out of a text.
func redactValue(text, key, value string) string {
	const tooShort = 4 // Such as true: it is no secret, and every text has it.
	if len(value) <= tooShort || strings.Contains(key, "_ENDPOINT") {
		return text
	}
	return strings.ReplaceAll(text, value, redacted)
}
