package iris

import (
	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

const (
	volumeData        = "iris-external-sys" // The article's name.
	volumeMerge       = "merge"
	volumeSettings    = "settings"
	volumeCredentials = "credentials"
	volumePassword    = "password"
	volumeLicense     = "license"
	volumeScripts     = "scripts"
	volumeGateway     = "web-gateway"
	volumeTLS         = "tls"
)

// irisEphemeral is for iris-main's log, IRIS' files below its installation directory and core dumps cut short; the
// instance's own logs are on the data volume (ADOCK 5.4.2).
const irisEphemeral = "1Gi"

func (b *builder) irisContainer() *corev1.ContainerArgs {
	return &corev1.ContainerArgs{
		Name:  pulumi.String("iris"),
		Image: pulumi.String(b.cfg.Image),
		// The digest says which image it is; asking the registry again would make each restart depend on it.
		ImagePullPolicy: pulumi.String("IfNotPresent"),
		// Arguments, never a command: the image's entry point (tini and iris-main) stops IRIS in order and reaps zombies.
		Args:            pulumi.ToStringArray(b.irisArguments()),
		Env:             b.irisEnvironment(),
		Ports:           b.irisPorts(),
		Resources:       resources(b.cfg.CPU, b.cfg.CPULimit, b.cfg.Memory, irisEphemeral),
		StartupProbe:    startupProbe(b.cfg.RecoveryBudgetSeconds),
		ReadinessProbe:  readinessProbe(),
		LivenessProbe:   livenessProbe(),
		SecurityContext: containerSecurity(false), // IRIS writes below its installation directory (ADOCK 5.4).
		VolumeMounts:    b.irisMounts(),
	}
}

func (b *builder) irisEnvironment() corev1.EnvVarArray {
	variables := corev1.EnvVarArray{
		environment("ISC_DATA_DIRECTORY", dataDirectory),
		environment("ISC_CPF_MERGE_FILE", mergeDir+"/"+mergeFile),
	}
	if b.cfg.TimeZone != "" {
		variables = append(variables, environment("TZ", b.cfg.TimeZone))
	}
	return variables
}

func (b *builder) irisArguments() []string {
	arguments := []string{
		// All capabilities are dropped; releases that check for CAP_SETUID would refuse to start (ADOCK 5.3). Later ones
		// accept the option and ignore it.
		"--check-caps", "false",
		// The agent serves mirrors only (ADOCK 5.2.7).
		"--ISCAgent", "false",
	}
	if b.license != nil {
		arguments = append(arguments, "--key", licenseDir+"/"+licenseFile)
	}
	if b.scripts != nil {
		arguments = append(arguments, "--after", "/bin/sh "+scriptsDir+"/"+webServerFile)
	}
	return arguments
}

func (b *builder) irisPorts() corev1.ContainerPortArray {
	ports := corev1.ContainerPortArray{port(superserverName, superserverPort)}
	if !b.cfg.usesWebGateway() {
		ports = append(ports, port(portalPortName, portalPort))
	}
	return ports
}

func (b *builder) irisMounts() corev1.VolumeMountArray {
	mounts := corev1.VolumeMountArray{
		&corev1.VolumeMountArgs{Name: pulumi.String(volumeData), MountPath: pulumi.String(dataMount)},
		readOnly(volumeMerge, mergeDir),
	}
	if b.license != nil {
		mounts = append(mounts, readOnly(volumeLicense, licenseDir))
	}
	if b.scripts != nil {
		mounts = append(mounts, readOnly(volumeScripts, scriptsDir), readOnly(volumePassword, passwordDir))
	}
	return mounts
}

// mergeContainer joins the two halves of the CPF merge file (cpf.go) in memory, before IRIS starts.
func (b *builder) mergeContainer() *corev1.ContainerArgs {
	return &corev1.ContainerArgs{
		Name:            pulumi.String("cpf-merge"),
		Image:           pulumi.String(b.cfg.Image), // Already there; any other image would be one more to pull.
		ImagePullPolicy: pulumi.String("IfNotPresent"),
		Command:         pulumi.ToStringArray([]string{"/bin/sh", "-c", joinCommand(settingsDir, credentialDir, mergeDir)}),
		Resources:       resources("100m", "500m", "64Mi", "16Mi"),
		SecurityContext: containerSecurity(true),
		VolumeMounts: corev1.VolumeMountArray{
			readOnly(volumeSettings, settingsDir),
			readOnly(volumeCredentials, credentialDir),
			&corev1.VolumeMountArgs{Name: pulumi.String(volumeMerge), MountPath: pulumi.String(mergeDir)},
		},
	}
}

// joinCommand writes the merge file under another name first, so that a half of it is never taken for the whole.
func joinCommand(settings, credentials, merge string) string {
	return "umask 077 && cat " + settings + "/" + mergeFile + " " + credentials + "/" + credentialsFile + " > " +
		merge + "/" + mergeFile + ".new && mv " + merge + "/" + mergeFile + ".new " + merge + "/" + mergeFile
}

// gatewayContainer is the Web Gateway, in the variant that runs without root and listens on 52773 (ADOCK 5.5.1).
func (b *builder) gatewayContainer() *corev1.ContainerArgs {
	mounts := corev1.VolumeMountArray{readOnly(volumeGateway, gatewayDir), readOnly(volumePassword, passwordDir)}
	var arguments []string
	if b.cfg.TLSSecret != "" {
		arguments = append(arguments, "--ssl") // Loads the web server's TLS module (ADOCK 5.6.4).
		mounts = append(mounts, readOnly(volumeTLS, tlsDir))
	}
	return &corev1.ContainerArgs{
		Name:            pulumi.String("web-gateway"),
		Image:           pulumi.String(b.cfg.WebGateway.Image),
		ImagePullPolicy: pulumi.String("IfNotPresent"),
		Args:            pulumi.ToStringArray(arguments),
		Env: corev1.EnvVarArray{
			environment("ISC_CSP_INI_FILE", gatewayDir+"/"+gatewayINIFile),
			environment("ISC_CSP_CONF_FILE", gatewayDir+"/"+gatewayConfFile),
		},
		Ports: corev1.ContainerPortArray{port(portalPortName, portalPort)},
		// A web server without content of its own.
		Resources: resources("100m", "1", "256Mi", "256Mi"),
		// A probe of its port only: whether IRIS behind it answers is IRIS' own probe's matter.
		ReadinessProbe: &corev1.ProbeArgs{
			TcpSocket:        &corev1.TCPSocketActionArgs{Port: pulumi.Int(portalPort)},
			PeriodSeconds:    pulumi.Int(readyPeriod),
			FailureThreshold: pulumi.Int(readyFailures),
		},
		SecurityContext: containerSecurity(false), // It copies its configuration into its own directory (ADOCK 5.6.4).
		VolumeMounts:    mounts,
	}
}

func (b *builder) volumes() corev1.VolumeArray {
	volumes := corev1.VolumeArray{
		&corev1.VolumeArgs{
			Name: pulumi.String(volumeData),
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSourceArgs{
				ClaimName: b.claim.Metadata.Name().Elem(),
			},
		},
		&corev1.VolumeArgs{
			Name: pulumi.String(volumeMerge),
			// Memory: the joined file has password hashes, which then never touch a node's disk.
			EmptyDir: &corev1.EmptyDirVolumeSourceArgs{Medium: pulumi.String("Memory"), SizeLimit: pulumi.String("1Mi")},
		},
		configMapVolume(volumeSettings, b.merge),
		secretVolume(volumeCredentials, b.credentials.Metadata.Name().Elem(), credentialsFile),
		// Apart from the credentials, so that each container sees only what it needs.
		secretVolume(volumePassword, b.credentials.Metadata.Name().Elem(), passwordFile),
	}
	if b.scripts != nil {
		volumes = append(volumes, configMapVolume(volumeScripts, b.scripts))
	}
	if b.gateway != nil {
		volumes = append(volumes, configMapVolume(volumeGateway, b.gateway))
	}
	if b.license != nil {
		volumes = append(volumes, secretVolume(volumeLicense, b.license.Metadata.Name().Elem(), licenseFile))
	}
	if b.cfg.TLSSecret != "" {
		volumes = append(volumes, secretVolume(volumeTLS, pulumi.String(b.cfg.TLSSecret), "tls.crt", "tls.key"))
	}
	return volumes
}

func configMapVolume(name string, source *corev1.ConfigMap) *corev1.VolumeArgs {
	return &corev1.VolumeArgs{
		Name:      pulumi.String(name),
		ConfigMap: &corev1.ConfigMapVolumeSourceArgs{Name: source.Metadata.Name()},
	}
}

// secretVolume shows the named files only, readable by the pod's group and nobody else.
func secretVolume(name string, source pulumi.StringInput, files ...string) *corev1.VolumeArgs {
	items := corev1.KeyToPathArray{}
	for _, file := range files {
		items = append(items, &corev1.KeyToPathArgs{Key: pulumi.String(file), Path: pulumi.String(file)})
	}
	return &corev1.VolumeArgs{
		Name: pulumi.String(name),
		Secret: &corev1.SecretVolumeSourceArgs{
			SecretName: source.ToStringOutput().ToStringPtrOutput(), Items: items, DefaultMode: pulumi.Int(0o440),
		},
	}
}

func readOnly(volume, path string) *corev1.VolumeMountArgs {
	return &corev1.VolumeMountArgs{
		Name: pulumi.String(volume), MountPath: pulumi.String(path), ReadOnly: pulumi.Bool(true),
	}
}

func environment(name, value string) *corev1.EnvVarArgs {
	return &corev1.EnvVarArgs{Name: pulumi.String(name), Value: pulumi.String(value)}
}

func port(name string, number int) *corev1.ContainerPortArgs {
	return &corev1.ContainerPortArgs{Name: pulumi.String(name), ContainerPort: pulumi.Int(number)}
}
