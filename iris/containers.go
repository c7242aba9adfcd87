package iris

import (
	"fmt"
	"strings"

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

// irisContainerName is the database's container.
const irisContainerName = "iris"

// irisEphemeral is for iris-main's log, IRIS' files below its installation directory and core dumps cut short; the
// instance's own logs are on the data volume (ADOCK 5.4.2).
const irisEphemeral = "1Gi"

// logsOnError makes the last lines of a failed container's log part of its status, which Pulumi prints when the pod does not come up:
// IRIS says there which setting or file it cannot use.
const logsOnError = "FallbackToLogsOnError"

func (c Config) irisContainer() *corev1.ContainerArgs {
	container := &corev1.ContainerArgs{
		Name:  pulumi.String(irisContainerName),
		Image: pulumi.String(c.Image),
		// The digest says which image it is; asking the registry again would make each restart depend on it.
		ImagePullPolicy: pulumi.String("IfNotPresent"),
		// Arguments, never a command: the image's entry point (tini and iris-main) stops IRIS in order and reaps zombies.
		Args:                     pulumi.ToStringArray(c.irisArguments()),
		Env:                      c.irisEnvironment(),
		Ports:                    c.irisPorts(),
		Resources:                resources(c.CPU, c.CPULimit, c.Memory, irisEphemeral),
		StartupProbe:             startupProbe(c.RecoveryBudgetSeconds),
		ReadinessProbe:           readinessProbe(),
		LivenessProbe:            livenessProbe(),
		TerminationMessagePolicy: pulumi.String(logsOnError),
		SecurityContext:          containerSecurity(false), // IRIS writes below its installation directory (ADOCK 5.4).
		VolumeMounts:             c.irisMounts(),
	}
	if c.Failover.guarded() {
		container.Lifecycle = release()
	}
	return container
}

func (c Config) irisEnvironment() corev1.EnvVarArray {
	variables := corev1.EnvVarArray{
		environment("ISC_DATA_DIRECTORY", dataDirectory),
		environment("ISC_CPF_MERGE_FILE", mergeDir+"/"+mergeFile),
	}
	if c.TimeZone != "" {
		variables = append(variables, environment("TZ", c.TimeZone))
	}
	return variables
}

func (c Config) irisArguments() []string {
	arguments := []string{
		// All capabilities are dropped; releases that check for CAP_SETUID would refuse to start (ADOCK 5.3). Later ones
		// accept the option and ignore it.
		"--check-caps", "false",
		// The agent serves mirrors only (ADOCK 5.2.7).
		"--ISCAgent", "false",
	}
	if c.LicenseKey.IsSet() {
		arguments = append(arguments, "--key", licenseDir+"/"+licenseFile)
	}
	if c.Failover.guarded() {
		arguments = append(arguments, admission()...)
	}
	if !c.usesWebGateway() {
		arguments = append(arguments, "--after", "/bin/sh "+scriptsDir+"/"+webServerFile)
	}
	return arguments
}

func (c Config) irisPorts() corev1.ContainerPortArray {
	ports := corev1.ContainerPortArray{port(superserverName, superserverPort)}
	if !c.usesWebGateway() {
		ports = append(ports, port(portalPortName, portalPort))
	}
	return ports
}

func (c Config) irisMounts() corev1.VolumeMountArray {
	mounts := corev1.VolumeMountArray{
		&corev1.VolumeMountArgs{Name: pulumi.String(volumeData), MountPath: pulumi.String(dataMount)},
		readOnly(volumeMerge, mergeDir),
	}
	if c.LicenseKey.IsSet() {
		mounts = append(mounts, readOnly(volumeLicense, licenseDir))
	}
	if c.Failover.guarded() {
		mounts = append(mounts, readOnly(volumeFence, fenceDir))
	}
	if !c.usesWebGateway() {
		mounts = append(mounts, readOnly(volumeScripts, scriptsDir), readOnly(volumePassword, passwordDir))
	}
	return mounts
}

// mergeContainer joins the two halves of the CPF merge file (cpf.go) in memory, before IRIS starts.
func (c Config) mergeContainer() *corev1.ContainerArgs {
	return &corev1.ContainerArgs{
		Name:                     pulumi.String("cpf-merge"),
		Image:                    pulumi.String(c.Image), // Already there; any other image would be one more to pull.
		ImagePullPolicy:          pulumi.String("IfNotPresent"),
		Command:                  pulumi.ToStringArray([]string{"/bin/sh", "-c", joinCommand(settingsDir, credentialDir, mergeDir)}),
		Resources:                resources("100m", "500m", "64Mi", "16Mi"),
		TerminationMessagePolicy: pulumi.String(logsOnError),
		SecurityContext:          containerSecurity(true),
		VolumeMounts: corev1.VolumeMountArray{
			readOnly(volumeSettings, settingsDir),
			readOnly(volumeCredentials, credentialDir),
			&corev1.VolumeMountArgs{Name: pulumi.String(volumeMerge), MountPath: pulumi.String(mergeDir)},
		},
	}
}

// joinCommand writes the merge file under another name first, so that a half of it is never taken for the whole. Lines in between, which have
// no quote, come into the section in which the settings end; with them, which is the copy's file, iris.actions are left out.
func joinCommand(settings, credentials, merge string, between ...string) string {
	parts := "cat " + settings + "/" + mergeFile + " " + credentials + "/" + credentialsFile
	if len(between) > 0 {
		parts = "{ cat " + settings + "/" + mergeFile + " && printf '%s\\n' '" + strings.Join(between, "' '") + "' && " +
			fmt.Sprintf("head -n %d %s/%s; }", ownCredentialLines(), credentials, credentialsFile)
	}
	return "umask 077 && " + parts + " > " + merge + "/" + mergeFile + ".new && mv " + merge + "/" + mergeFile + ".new " + merge + "/" + mergeFile
}

// gatewayContainer is the Web Gateway, in the variant that runs without root and listens on 52773 (ADOCK 5.5.1).
func (c Config) gatewayContainer() *corev1.ContainerArgs {
	mounts := corev1.VolumeMountArray{readOnly(volumeGateway, gatewayDir), readOnly(volumePassword, passwordDir)}
	var arguments []string
	if c.TLSSecret != "" {
		arguments = append(arguments, "--ssl") // Loads the web server's TLS module (ADOCK 5.6.4).
		mounts = append(mounts, readOnly(volumeTLS, tlsDir))
	}
	return &corev1.ContainerArgs{
		Name:            pulumi.String("web-gateway"),
		Image:           pulumi.String(c.WebGateway.Image),
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
		TerminationMessagePolicy: pulumi.String(logsOnError),
		SecurityContext:          containerSecurity(false), // It copies its configuration into its own directory (ADOCK 5.6.4).
		VolumeMounts:             mounts,
	}
}

// dataVolumes are the two that the database writes to.
func dataVolumes(claim *corev1.PersistentVolumeClaim) corev1.VolumeArray {
	return corev1.VolumeArray{
		&corev1.VolumeArgs{
			Name: pulumi.String(volumeData),
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSourceArgs{
				ClaimName: claim.Metadata.Name().Elem(),
			},
		},
		mergeVolume(),
	}
}

func mergeVolume() *corev1.VolumeArgs {
	return &corev1.VolumeArgs{
		Name: pulumi.String(volumeMerge),
		// Memory: the joined file has password hashes, which then never touch a node's disk.
		EmptyDir: &corev1.EmptyDirVolumeSourceArgs{Medium: pulumi.String("Memory"), SizeLimit: pulumi.String("1Mi")},
	}
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
