package iris

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"

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

// configuration is what the pods read, and what tells them that it changed.
type configuration struct {
	// volumes are the database pod's, but for the data and the directory of the joined merge file.
	volumes corev1.VolumeArray
	// pullSecrets are every pod's login to the registry; nil where none is needed.
	pullSecrets corev1.LocalObjectReferenceArray
	// annotations change when something changes that the database reads only at its start, and so roll its pod.
	annotations pulumi.StringMap
}

func (s *scope) configuration(in *namespace, plan *plan) (*configuration, error) {
	settings, err := s.settings(in, plan)
	if err != nil {
		return nil, err
	}
	credentials, err := s.credentials(in, plan)
	if err != nil {
		return nil, err
	}
	webServer, err := s.webServer(in)
	if err != nil {
		return nil, err
	}
	license, err := s.license(in)
	if err != nil {
		return nil, err
	}
	pullSecrets, err := s.registryLogin(in)
	return &configuration{
		// Another order would roll the pod.
		volumes:     slices.Concat(settings, credentials, webServer, license, s.cfg.certificate()),
		pullSecrets: pullSecrets,
		annotations: pulumi.StringMap{
			"ha-iris/config-checksum":   pulumi.String(plan.configChecksum),
			"ha-iris/password-checksum": plan.credentials.checksum,
		},
	}, err
}

func (s *scope) settings(in *namespace, plan *plan) (corev1.VolumeArray, error) {
	merge, err := s.configMap(in, mergeName, map[string]string{mergeFile: plan.cpf})
	if err != nil {
		return nil, err
	}
	return corev1.VolumeArray{configMapVolume(volumeSettings, merge)}, nil
}

func (s *scope) credentials(in *namespace, plan *plan) (corev1.VolumeArray, error) {
	credentials, err := s.secret(in, credentialsName, "Opaque", map[string]secret.Value{
		credentialsFile: plan.credentials.merge,
		passwordFile:    plan.credentials.password,
	})
	if err != nil {
		return nil, err
	}
	return corev1.VolumeArray{
		secretVolume(volumeCredentials, credentials.Metadata.Name().Elem(), credentialsFile),
		// Apart from the credentials, so that each container sees only what it needs.
		secretVolume(volumePassword, credentials.Metadata.Name().Elem(), passwordFile),
	}, nil
}

func (s *scope) webServer(in *namespace) (corev1.VolumeArray, error) {
	volume, name, files := volumeScripts, scriptsName, map[string]string{webServerFile: webServerScript(s.cfg)}
	if s.cfg.usesWebGateway() {
		volume, name, files = volumeGateway, gatewayName, map[string]string{
			gatewayINIFile: gatewayINI(s.cfg), gatewayConfFile: gatewayConf(s.cfg),
		}
	}
	object, err := s.configMap(in, name, files)
	if err != nil {
		return nil, err
	}
	return corev1.VolumeArray{configMapVolume(volume, object)}, nil
}

func (s *scope) license(in *namespace) (corev1.VolumeArray, error) {
	if !s.cfg.LicenseKey.IsSet() {
		return nil, nil
	}
	license, err := s.secret(in, licenseName, "Opaque", map[string]secret.Value{licenseFile: s.cfg.LicenseKey})
	if err != nil {
		return nil, err
	}
	return corev1.VolumeArray{secretVolume(volumeLicense, license.Metadata.Name().Elem(), licenseFile)}, nil
}

// certificate is a Secret that is there already.
func (c Config) certificate() corev1.VolumeArray {
	if c.TLSSecret == "" {
		return nil
	}
	return corev1.VolumeArray{secretVolume(volumeTLS, pulumi.String(c.TLSSecret), "tls.crt", "tls.key")}
}

// registryLogin creates the Secret with which images are pulled.
func (s *scope) registryLogin(in *namespace) (corev1.LocalObjectReferenceArray, error) {
	if !s.cfg.needsLogin() {
		return nil, nil
	}
	login, err := dockerConfig(s.cfg.Registry, s.cfg.RegistryPassword)
	if err != nil {
		return nil, err
	}
	object, err := s.secret(in, registryName, "kubernetes.io/dockerconfigjson",
		map[string]secret.Value{".dockerconfigjson": login})
	if err != nil {
		return nil, err
	}
	return corev1.LocalObjectReferenceArray{&corev1.LocalObjectReferenceArgs{Name: object.Metadata.Name()}}, nil
}

func (s *scope) configMap(in *namespace, name string, files map[string]string) (*corev1.ConfigMap, error) {
	object, err := corev1.NewConfigMap(s.ctx, name, &corev1.ConfigMapArgs{
		Metadata: in.metadata(s.cfg.database(), name, nil),
		Data:     pulumi.ToStringMap(files),
	}, s.options(s.mounted)...)
	return object, creating("ConfigMap "+name, err)
}

func (s *scope) secret(in *namespace, name, kind string, files map[string]secret.Value) (*corev1.Secret, error) {
	data := pulumi.StringMap{}
	for file, value := range files {
		data[file] = value.Output()
	}
	object, err := corev1.NewSecret(s.ctx, name, &corev1.SecretArgs{
		Metadata:   in.metadata(s.cfg.database(), name, nil),
		Type:       pulumi.String(kind),
		StringData: data,
	}, s.options(
		// The provider echoes stringData as base64 in data; without this that copy would be plain text in the state.
		pulumi.AdditionalSecretOutputs([]string{"data", "stringData"}),
		s.mounted,
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
