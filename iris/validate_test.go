package iris

import (
	"strings"
	"testing"

	"ha-iris/internal/secret"
)

func TestDefaultConfig_NeedsOnlyThePassword(t *testing.T) {
	t.Parallel()
	err := DefaultConfig().Validate()
	const want = "irisPassword: got nothing, want the password of the database's accounts; set it with: " +
		"pulumi config set --secret irisPassword"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	for name, cfg := range editions() {
		if err := cfg.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// mistakes are changes of a valid configuration, by the beginning of their one message.
type mistakes map[string]func(*Config)

func (m mistakes) areRefused(t *testing.T) {
	t.Helper()
	for want, change := range m {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			err := community(change).Validate()
			if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestValidate_RefusesTheVolumeAndTheImage(t *testing.T) {
	t.Parallel()
	mistakes{
		`iris.size: got "20", want a size with a unit`:                func(c *Config) { c.Size = "20" },
		`iris.size: got "4Gi", want at least 5Gi`:                     func(c *Config) { c.Size = "4Gi" },
		`iris.accessMode: got "ReadWriteMany", want one of ReadWrite`: func(c *Config) { c.AccessMode = "ReadWriteMany" },
		`iris.namespace: got "IRIS", want a namespace's name`:         func(c *Config) { c.Namespace = "IRIS" },
		`iris.namespace: got "", want a namespace's name`:             func(c *Config) { c.Namespace = "" },
		`iris.edition: got "free", want one of community, licensed`:   func(c *Config) { c.Edition = "free" },
		`iris.image: got "iris-community", want an image at a digest`: func(c *Config) { c.Image = "iris-community" },
		`iris.image: got "iris-community:latest", want`:               func(c *Config) { c.Image = "iris-community:latest" },
		`iris.image: got "iris-community:latest-em", want`:            func(c *Config) { c.Image = "iris-community:latest-em" },
		`iris.image: got "", want`:                                    func(c *Config) { c.Image = "" },
		`iris.image: got "Iris:1", want`:                              func(c *Config) { c.Image = "Iris:1" },
		`iris.image: got "iris:1@sha256:12", want`:                    func(c *Config) { c.Image = "iris:1@sha256:12" },
		`iris.architecture: got "s390x", want one of amd64, arm64`:    func(c *Config) { c.Architecture = "s390x" },
	}.areRefused(t)
}

func TestValidate_RefusesSizes(t *testing.T) {
	t.Parallel()
	mistakes{
		`iris.memory: got "4", want a size with a unit`:             func(c *Config) { c.Memory = "4" },
		`iris.memory: got "1Gi", want at least 1536Mi`:              func(c *Config) { c.Memory = "1Gi" },
		`iris.globalsMiB: got -1, want 1 to`:                        func(c *Config) { c.GlobalsMiB = -1 },
		`iris.gmheapKiB: got 1, want 16384 to 1073741760, or 0 to`:  func(c *Config) { c.GmheapKiB = 1 },
		`iris.journalBuffersMiB: got 8, want 16 to 1024`:            func(c *Config) { c.JournalBuffersMiB = 8 },
		`iris.routinesMiB: got 70000, want 1 to 65535`:              func(c *Config) { c.RoutinesMiB = 70000 },
		`iris.cpu: got "two", want a number of cores`:               func(c *Config) { c.CPU = "two" },
		`iris.cpu: got "0", want a number of cores`:                 func(c *Config) { c.CPU = "0" },
		`iris.cpuLimit: got "500m", want at least iris.cpu`:         func(c *Config) { c.CPULimit = "500m" },
		`iris.timeZone: got "Europe Madrid", want a time zone`:      func(c *Config) { c.TimeZone = "Europe Madrid" },
		`iris.terminationGracePeriodSeconds: got 5, want 10 to 360`: func(c *Config) { c.TerminationGracePeriodSeconds = 5 },
		`iris.tolerationSeconds: got -1, want 0 to 300`:             func(c *Config) { c.TolerationSeconds = -1 },
		`iris.recoveryBudgetSeconds: got 60, want 120 to 14400`:     func(c *Config) { c.RecoveryBudgetSeconds = 60 },
	}.areRefused(t)
}

func TestValidate_RefusesCredentials(t *testing.T) {
	t.Parallel()
	mistakes{
		`irisPassword: got nothing, want`:                          func(c *Config) { c.Password = secret.Value{} },
		`irisPassword: got the default password`:                   func(c *Config) { c.Password = secret.New("SYS") },
		`irisPassword: got 7 characters, want 8 to 128`:            func(c *Config) { c.Password = secret.New("1234567") },
		`irisPassword: got a character that is not a printable`:    func(c *Config) { c.Password = secret.New("contraseña") },
		`irisLicenseKey: got a key for an edition that takes none`: func(c *Config) { c.LicenseKey = secret.New(testKey) },
		`iris.registry.username: got nothing, want the account`:    func(c *Config) { c.RegistryPassword = secret.New("x") },
		`irisRegistryPassword: got nothing, want the password`:     func(c *Config) { c.Registry.Username = "me" },
		`iris.tlsSecret: got "Portal TLS", want an object's name`: func(c *Config) {
			c.TLSSecret, c.WebGateway.Image = "Portal TLS", gatewayImage
		},
		`iris.webGateway.image: got nothing, want the image`: func(c *Config) { c.TLSSecret = "portal-tls" },
		`iris.webGateway.image: got "wg:latest", want an image`: func(c *Config) {
			c.WebGateway = WebGateway{Enabled: true, Image: "wg:latest"}
		},
	}.areRefused(t)
}

func TestValidate_RefusesTheService(t *testing.T) {
	t.Parallel()
	open := func(c *Config) { c.Service = Service{Type: LoadBalancer, SourceRanges: []string{"203.0.113.0/24"}} }
	mistakes{
		`iris.metrics: got "statsd", want one of none, annotations`:    func(c *Config) { c.Metrics = "statsd" },
		`iris.monitoringNamespace: got nothing, want the namespace`:    func(c *Config) { c.Metrics = ServiceMonitor },
		`iris.monitoringNamespace: got "_", want a namespace's name`:   func(c *Config) { c.MonitoringNamespace = "_" },
		`iris.service.type: got "Ingress", want one of LoadBalancer`:   func(c *Config) { c.Service.Type = "Ingress" },
		`iris.service.sourceRanges: got nothing, want the networks`:    func(c *Config) { c.Service.Type = LoadBalancer },
		`iris.service.sourceRanges: got "10.0.0.0/8", want none`:       func(c *Config) { c.Service.SourceRanges = []string{"10.0.0.0/8"} },
		`iris.service.sourceRanges[0]: got "10.0.0.1", want a network`: func(c *Config) { open(c); c.Service.SourceRanges[0] = "10.0.0.1" },
		`iris.service.sourceRanges[0]: got "10.0.0.1/8", want the network's own address: 10.0.0.0/8`: func(c *Config) {
			open(c)
			c.Service.SourceRanges[0] = "10.0.0.1/8"
		},
		`iris.service.clientNamespaces[0]: got "My App", want`:     func(c *Config) { c.Service.ClientNamespaces = []string{"My App"} },
		`iris.service.internal: got true, want false, because`:     func(c *Config) { c.Service.Internal = true },
		`iris.service.annotations: got "no good", want annotation`: func(c *Config) { c.Service.Annotations = map[string]string{"no good": ""} },
		`iris.service.portalNodePort: got 80, want 30000 to 32767`: func(c *Config) { open(c); c.Service.PortalNodePort = 80 },
		`iris.service.portalNodePort: got 30080, want 0, because`:  func(c *Config) { c.Service.PortalNodePort = 30080 },
		`iris.service.superserverNodePort: got 30072, want 0, or`:  func(c *Config) { open(c); c.Service.SuperserverNodePort = 30072 },
		`iris.service.superserverNodePort: got 30072, want another`: func(c *Config) {
			open(c)
			c.Service.Superserver, c.Service.PortalNodePort, c.Service.SuperserverNodePort = true, 30072, 30072
		},
	}.areRefused(t)
}

func TestValidate_RefusesTheMergeFile(t *testing.T) {
	t.Parallel()
	mistakes{
		`iris.cpf: got "[SQL]", want a section name`:                   cpfOf("[SQL]", "k", "v"),
		`iris.cpf: got "Actions", want another section`:                cpfOf("Actions", "k", "v"),
		`iris.cpf.SQL: got "a=b", want a key on one line`:              cpfOf("SQL", "a=b", "v"),
		`iris.cpf.SQL.k: got "v\n[Actions]", want a value on one line`: cpfOf("SQL", "k", "v\n[Actions]"),
		`iris.cpf.Config.Globals: got a value, want iris.globalsMiB`:   ownedOf("Config", "Globals"),
		`iris.cpf.config.routines: got a value, want iris.routinesMiB`: ownedOf("config", "routines"),
		`iris.cpf.config.gmheap: got a value, want iris.gmheapKiB`:     ownedOf("config", "gmheap"),
		`iris.cpf.config.jrnbufs: got a value, want iris.journalBuff`:  ownedOf("config", "jrnbufs"),
		`iris.cpf.Miscellaneous.SynchCommit: got a value, want iris.s`: ownedOf("Miscellaneous", "SynchCommit"),
		`iris.cpf.Startup.PasswordHash: got a value, want the secret`:  ownedOf("Startup", "PasswordHash"),
		`iris.cpf.Startup.WebServer: got a value, want iris.webGatewa`: ownedOf("Startup", "WebServer"),
		`iris.actions[0]: got "x\ny", want one line`:                   actionOf("x\ny"),
		`iris.actions[0]: got "[SQL]", want one line`:                  actionOf("[SQL]"),
		`iris.actions[0]: got a password in clear, want PasswordHash=`: actionOf("CreateUser:Name=me,Password=topsecret"),
	}.areRefused(t)
}

func cpfOf(section, key, value string) func(*Config) {
	return func(c *Config) { c.CPF = map[string]map[string]string{section: {key: value}} }
}

func ownedOf(section, key string) func(*Config) { return cpfOf(section, key, "1") }

func actionOf(action string) func(*Config) { return func(c *Config) { c.Actions = []string{action} } }

func TestValidate_AcceptsWhatIsUnusual(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Config){
		"a build tag":          func(c *Config) { c.Image = "registry.example.com:5000/mirror/iris-community:2026.1.0.234.1" },
		"a digest without tag": func(c *Config) { c.Image = "iris-community@sha256:" + strings.Repeat("ab", 32) },
		"everybody": func(c *Config) {
			c.Service = Service{Type: LoadBalancer, SourceRanges: []string{"0.0.0.0/0", "::/0"}}
		},
		"POSIX time zone":     func(c *Config) { c.TimeZone = "JST-9" },
		"named time zone":     func(c *Config) { c.TimeZone = "America/Argentina/Buenos_Aires" },
		"a hash in an action": actionOf(`CreateUser:Name=app,PasswordHash="ab,cd,10000,SHA512",Roles="%SQL"`),
		"an upper-case annotation": func(c *Config) {
			c.Service.Annotations = map[string]string{"service.beta.kubernetes.io/Some-Thing": "x"}
		},
		"no pre-pull, no protection": func(c *Config) { c.PrePullImage, c.ProtectData = false, false },
		"nil lists and maps": func(c *Config) {
			c.CPF, c.Actions, c.Service.SourceRanges, c.Service.ClientNamespaces, c.Service.Annotations = nil, nil, nil, nil, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := community(change).Validate(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestValidate_LicensedSaysAllThatItNeeds(t *testing.T) {
	t.Parallel()
	err := community(func(c *Config) { c.Edition = Licensed }).Validate()
	want := []string{
		`iris.image: got "` + DefaultImage + `", want an image of the licensed edition`,
		"iris.webGateway.image: got nothing, want the image webgateway-lockeddown",
		"irisLicenseKey: got nothing, want the content of iris.key",
	}
	if err == nil {
		t.Fatal("accepted")
	}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != len(want) {
		t.Fatalf("got %d lines:\n%v", len(lines), err)
	}
	for i, line := range lines {
		if !strings.HasPrefix(line, want[i]) {
			t.Errorf("got %s, want %s", line, want[i])
		}
	}
}

// TestValidate_ReportsEverythingInTheSameOrder: all mistakes at once, and the same text every time.
func TestValidate_ReportsEverythingInTheSameOrder(t *testing.T) {
	t.Parallel()
	cfg := Config{
		CPF:                           map[string]map[string]string{"a]": {}, "b": {"=": "", "#": ""}, "c]": {}},
		TerminationGracePeriodSeconds: -1,
		Service:                       Service{Annotations: map[string]string{"a b": "", "c d": "", "e f": ""}},
	}
	first := cfg.Validate()
	if first == nil {
		t.Fatal("accepted")
	}
	for _, path := range []string{
		"iris.size", "iris.accessMode", "iris.namespace", "iris.edition", "iris.image", "iris.memory", "iris.cpu", "iris.cpuLimit",
		"iris.cpf", "iris.terminationGracePeriodSeconds", "iris.recoveryBudgetSeconds", "irisPassword", "iris.service.type",
		"iris.metrics",
	} {
		if !strings.Contains("\n"+first.Error(), "\n"+path+": got ") {
			t.Errorf("nothing about %s in\n%v", path, first)
		}
	}
	for range 20 {
		if again := cfg.Validate(); again.Error() != first.Error() {
			t.Fatalf("got\n%v\nfirst\n%v", again, first)
		}
	}
}
