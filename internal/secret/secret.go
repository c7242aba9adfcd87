// Package secret carries a configuration value that must never be shown.
package secret

import "github.com/pulumi/pulumi/sdk/v3/go/pulumi"

const redacted = "[secret]"

// Value is a secret in memory. Formatting it in any way yields "[secret]"; only Reveal and Output give the value out.
type Value struct{ plaintext string }

// New wraps a plaintext.
func New(plaintext string) Value { return Value{plaintext: plaintext} }

// IsSet reports whether a value was given.
func (v Value) IsSet() bool { return v.plaintext != "" }

// Reveal returns the plaintext, for checks that have to look at it. The result must not be formatted or logged.
func (v Value) Reveal() string { return v.plaintext }

// Output returns the value as a Pulumi secret.
func (v Value) Output() pulumi.StringOutput {
	secret, ok := pulumi.ToSecret(pulumi.String(v.plaintext)).(pulumi.StringOutput)
	if !ok { // ToSecret keeps the element type, so this is unreachable; an unknown output leaks nothing.
		return pulumi.StringOutput{}
	}
	return secret
}

// String implements fmt.Stringer.
func (Value) String() string { return redacted }

// GoString implements fmt.GoStringer, for %#v.
func (Value) GoString() string { return redacted }

// MarshalText implements encoding.TextMarshaler, for JSON and YAML.
func (Value) MarshalText() ([]byte, error) { return []byte(redacted), nil }
