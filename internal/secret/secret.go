// Package secret carries a configuration value that must never be shown.
package secret

import (
	"fmt"
	"io"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

const redacted = "[secret]"

// Value is a secret in memory. Formatting it yields "[secret]"; only Reveal and Output give the value out.
//
// fmt calls no method of a Value in an unexported field of another struct. It shows an address there, because the plaintext is
// behind a pointer; so two Values must be compared by the results of Reveal.
type Value struct{ plaintext *string }

// New wraps a plaintext.
func New(plaintext string) Value { return Value{plaintext: &plaintext} }

// IsSet reports whether a value was given.
func (v Value) IsSet() bool { return v.Reveal() != "" }

// Reveal returns the plaintext, for checks that have to look at it. The result must not be formatted or logged.
func (v Value) Reveal() string {
	if v.plaintext == nil {
		return ""
	}
	return *v.plaintext
}

// Output returns the value as a Pulumi secret.
func (v Value) Output() pulumi.StringOutput {
	secret, ok := pulumi.ToSecret(pulumi.String(v.Reveal())).(pulumi.StringOutput)
	if !ok { // ToSecret keeps the element type, so this is unreachable; an unknown output leaks nothing.
		return pulumi.StringOutput{}
	}
	return secret
}

// String implements fmt.Stringer.
func (Value) String() string { return redacted }

// Format implements fmt.Formatter, for every verb: with %d, fmt does not call String.
func (Value) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, redacted) }

// MarshalText implements encoding.TextMarshaler, for JSON and YAML.
func (Value) MarshalText() ([]byte, error) { return []byte(redacted), nil }
