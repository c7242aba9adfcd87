package iris

import (
	"encoding/base64"
	"encoding/json"
	"fmt"

	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ha-iris/internal/secret"
)

// Keys of the ConfigMaps and Secrets; they are the names of the files in the containers.
const (
	mergeFile       = "merge.cpf"
	credentialsFile = "credentials.cpf"
	passwordFile    = "password"
	licenseFile     = "iris.key"
	webServerFile   = "web-server.sh"
	gatewayINIFile  = "CSP.ini"
	gatewayConfFile = "CSP.conf"
)

// createConfiguration creates what the pod reads: ConfigMaps without secrets, and Secrets.
func (b *builder) createConfiguration() error {
	var err error
	if b.merge, err = b.configMap(mergeName, map[string]string{mergeFile: b.plan.cpf}); err != nil {
		return err
	}
	if b.cfg.usesWebGateway() {
		b.gateway, err = b.configMap(gatewayName, map[string]string{
			gatewayINIFile: gatewayINI(b.cfg), gatewayConfFile: gatewayConf(b.cfg),
		})
	} else {
		b.scripts, err = b.configMap(scriptsName, map[string]string{webServerFile: webServerScript(b.cfg)})
	}
	if err != nil {
		return err
	}
	return b.createSecrets()
}

func (b *builder) createSecrets() error {
	var err error
	b.credentials, err = b.secret(credentialsName, "Opaque", map[string]secret.Value{
		credentialsFile: b.plan.credentials.merge,
		passwordFile:    b.plan.credentials.password,
	})
	if err != nil {
		return err
	}
	if b.cfg.LicenseKey.IsSet() {
		b.license, err = b.secret(licenseName, "Opaque", map[string]secret.Value{licenseFile: b.cfg.LicenseKey})
		if err != nil {
			return err
		}
	}
	if !b.cfg.needsLogin() {
		return nil
	}
	login, err := dockerConfig(b.cfg.Registry, b.cfg.RegistryPassword)
	if err != nil {
		return err
	}
	b.registry, err = b.secret(registryName, "kubernetes.io/dockerconfigjson",
		map[string]secret.Value{".dockerconfigjson": login})
	return err
}

func (b *builder) configMap(name string, files map[string]string) (*corev1.ConfigMap, error) {
	object, err := corev1.NewConfigMap(b.ctx, name, &corev1.ConfigMapArgs{
		Metadata: b.metadata(name, nil),
		Data:     pulumi.ToStringMap(files),
	}, b.options()...)
	return object, creating("ConfigMap "+name, err)
}

func (b *builder) secret(name, kind string, files map[string]secret.Value) (*corev1.Secret, error) {
	data := pulumi.StringMap{}
	for file, value := range files {
		data[file] = value.Output()
	}
	object, err := corev1.NewSecret(b.ctx, name, &corev1.SecretArgs{
		Metadata:   b.metadata(name, nil),
		Type:       pulumi.String(kind),
		StringData: data,
	}, b.options(
		// The provider echoes stringData as base64 in data; without this that copy would be plain text in the state.
		pulumi.AdditionalSecretOutputs([]string{"data", "stringData"}),
	)...)
	return object, creating("Secret "+name, err)
}

// dockerConfig is the file format of a registry login that Kubernetes expects.
func dockerConfig(registry Registry, password secret.Value) (secret.Value, error) {
	content, err := json.Marshal(map[string]any{"auths": map[string]any{registry.Server: map[string]string{
		"username": registry.Username,
		"password": password.Reveal(),
		"auth":     base64.StdEncoding.EncodeToString([]byte(registry.Username + ":" + password.Reveal())),
	}}})
	if err != nil {
		return secret.Value{}, fmt.Errorf("write the login for registry %s: %w", registry.Server, err)
	}
	return secret.New(string(content)), nil
}
