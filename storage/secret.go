package storage

import "github.com/pulumi/pulumi/sdk/v3/go/pulumi"

// text returns a text of the configuration, as a secret when any value of storage is secret, because it is not known which one.
func (c Config) text(value string) pulumi.StringInput {
	if !c.Secret {
		return pulumi.String(value)
	}
	if secret, ok := pulumi.ToSecret(pulumi.String(value)).(pulumi.StringOutput); ok {
		return secret
	}
	return pulumi.StringOutput{} // ToSecret keeps the element type, so this is unreachable; an unknown output leaks nothing.
}

// secretValues returns the chart's values of the configuration with every leaf secret.
func secretValues(values map[string]any) map[string]any {
	hidden := make(map[string]any, len(values))
	for key, value := range values {
		hidden[key] = secretValue(value)
	}
	return hidden
}

func secretValue(value any) any {
	switch typed := value.(type) {
	case map[string]any:
		return secretValues(typed)
	case []any:
		list := make([]any, 0, len(typed))
		for _, element := range typed {
			list = append(list, secretValue(element))
		}
		return list
	default:
		return pulumi.ToSecret(pulumi.Any(value))
	}
}

// secretOutputs are the outputs of the release that repeat what was given, when that is secret.
func secretOutputs(c Config) []string {
	if !c.Secret {
		return nil
	}
	return []string{"values", "manifest"}
}
