package check

import (
	"regexp"
	"strings"
)

const (
	wantSecret    = "a Pulumi secret (pulumi.ToSecret, config.RequireSecret)"
	wantReference = "a Secret's key (valueFrom.secretKeyRef) or a mounted Secret"
)

var (
	// credentialName matches what credentials are called, at the end of a name: tokenSecretName names a Secret,
	// PASSWORD_FILE a file. A bare "secret" is usually a Secret's name and so not matched.
	credentialName = regexp.MustCompile(
		`(?i)(password|passwd|passphrase|token|(api|access|secret|private)[-_]?key|(client|shared)[-_]?secret|credentials?)$`)
	// credentialVariable adds what environment variables are called: they hold values, not names of objects.
	credentialVariable = regexp.MustCompile(`(?i)(^|_)secret$`)
	// credentialText matches what is a credential whatever it is called: a private key, an AWS access key's id, GitHub's
	// and Slack's tokens, a JSON Web Token, a URL with a password in it.
	credentialText = regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY-----|\b(AKIA|ASIA)[0-9A-Z]{16}\b|` +
		`\bgh[pousr]_[0-9A-Za-z]{36}|\bxox[abprs]-[0-9A-Za-z-]{10}|\beyJ[0-9A-Za-z_-]{10,}\.eyJ[0-9A-Za-z_-]{10,}\.|` +
		`://[^/\s:@]*:[^/\s:@${<%]+@`)
	// kubeconfigKind and kubeconfigAccess together match a kubeconfig with access in it, in YAML or JSON.
	kubeconfigKind   = regexp.MustCompile(`\bkind["']?\s*:\s*["']?Config\b`)
	kubeconfigAccess = regexp.MustCompile(`\b(client-key-data|token|password)["']?\s*:`)
	// assignment matches a line that sets a credential, in properties, YAML, shell and ini files, and such an option of a
	// command line.
	assignment = regexp.MustCompile(
		`(?im)^\s*(?:export\s+|--?)?["']?[\w.-]*?(?:password|passwd|passphrase|token|(?:api|access|secret|private)[-_]?key|` +
			`(?:client|shared)[-_]?secret)["']?\s*[:=]\s*["']?([^\s"']+)`)
	// reference matches what stands for a value that is elsewhere: a path, a variable, a command, a placeholder, an ARN.
	reference = regexp.MustCompile(`^(/|\./|~/|[$<{%]|arn:|(?i:true|false|null|none)$)`)
)

// checkSecrets looks for credentials in clear: in the stack's state, and in those objects of Kubernetes that show what
// they hold to everybody who may read them.
func checkSecrets(r *resource, report reporter) {
	found := func(path, got, want string) { report(r, path, got, want) }
	switch {
	case r.isStack():
		checkFields(field{value: r.Outputs}, found)
		return
	case r.isCore("Secret"):
		checkSecretObject(r, found)
		return
	case r.isCore("ConfigMap"):
		checkConfigMap(r, found)
		return
	case isKubeconfigInClear(r):
		found("kubeconfig", "a kubeconfig in clear", wantSecret)
		return
	}
	checkContainers(r, found)
	walk(field{value: r.Inputs}, func(f field) bool {
		// Containers have been looked at, with the rules of their environment.
		if r.isKubernetes() && isContainerList(f.key) {
			return false
		}
		checkField(f, found)
		return true
	})
}

func checkFields(root field, found func(path, got, want string)) {
	walk(root, func(f field) bool {
		checkField(f, found)
		return true
	})
}

// isKubeconfigInClear reports whether a Kubernetes provider has a kubeconfig that is neither secret nor a file's path. One
// without a token in it still says where the cluster is and how to log in.
func isKubeconfigInClear(r *resource) bool {
	kubeconfig := strings.TrimSpace(r.text("kubeconfig"))
	return r.Type == kubernetesProvider && (strings.Contains(kubeconfig, "\n") || strings.HasPrefix(kubeconfig, "{"))
}

// checkField judges one value by its name and by itself.
func checkField(f field, found func(path, got, want string)) {
	text, ok := f.value.(string)
	switch {
	case !ok || !inClear(text):
	case isCredential(text):
		found(f.path, "a credential in clear", wantSecret)
	case credentialName.MatchString(f.key) && !reference.MatchString(text):
		found(f.path, "a value in clear", wantSecret)
	}
}

// isCredential judges a text by itself.
func isCredential(text string) bool {
	return credentialText.MatchString(text) || kubeconfigKind.MatchString(text) && kubeconfigAccess.MatchString(text)
}

func inClear(text string) bool { return text != "" && !isSecret(text) && !isUnknown(text) }

// checkSecretObject: whatever is in a Secret is one, because somebody put it there.
func checkSecretObject(r *resource, found func(path, got, want string)) {
	for _, part := range []string{"data", "stringData"} {
		walk(field{path: part, value: r.Inputs[part]}, func(f field) bool {
			if text, ok := f.value.(string); ok && inClear(text) {
				found(f.path, "a value in clear", wantSecret)
			}
			return true
		})
	}
}

func checkConfigMap(r *resource, found func(path, got, want string)) {
	const want = "a Secret instead of a ConfigMap"
	walk(field{path: "data", value: r.Inputs["data"]}, func(f field) bool {
		text, ok := f.value.(string)
		switch {
		case isSecret(f.value):
			found(f.path, "a secret, which a ConfigMap shows to everybody who may read it", want)
		case !ok || !inClear(text):
		case isCredential(text), assigns(text), credentialName.MatchString(f.key) && !reference.MatchString(text):
			found(f.path, "a credential in clear", want)
		}
		return true
	})
}

// assigns reports whether a line of a text sets a credential to a value.
func assigns(text string) bool {
	for _, match := range assignment.FindAllStringSubmatch(text, -1) {
		if !reference.MatchString(match[1]) {
			return true
		}
	}
	return false
}

// checkContainers looks at environments and command lines, which a pod shows to everybody who may read it: a Pulumi secret
// is in clear there too.
func checkContainers(r *resource, found func(path, got, want string)) {
	if !r.isKubernetes() {
		return
	}
	// One secret inside makes the provider hide the whole list.
	walk(field{value: r.Inputs}, func(f field) bool {
		if isContainerList(f.key) && isSecret(f.value) {
			found(f.path, "a secret inside, which a pod shows to everybody who may read it", wantReference)
		}
		return true
	})
	for _, c := range containers(r) {
		checkEnvironment(c, found)
		for _, part := range []string{"command", "args"} {
			walk(field{path: c.path + "." + part, value: c.value[part]}, func(f field) bool {
				text, ok := f.value.(string)
				if isSecret(f.value) || ok && inClear(text) && (isCredential(text) || assigns(text)) {
					found(f.path, "a credential on a command line", wantReference)
				}
				return true
			})
		}
	}
}

func checkEnvironment(c container, found func(path, got, want string)) {
	variables, _ := c.value["env"].([]any)
	walk(field{path: c.path + ".env", value: variables}, func(f field) bool {
		variable, ok := f.value.(map[string]any)
		if !ok {
			return true
		}
		name, value := textAt(variable, "name"), variable["value"]
		text, _ := value.(string)
		path := join(f.path, "value") + " (" + name + ")"
		switch {
		case isSecret(value):
			found(path, "a secret, which a pod shows to everybody who may read it", wantReference)
		case !inClear(text):
		case isCredential(text), isCredentialVariable(name) && !reference.MatchString(text):
			found(path, "a credential in clear", wantReference)
		}
		return false
	})
}

func isCredentialVariable(name string) bool {
	return credentialName.MatchString(name) || credentialVariable.MatchString(name)
}
