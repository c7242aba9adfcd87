package program

import (
	"strings"
	"testing"

	"ha-iris/cluster"
	"ha-iris/internal/problems"
	"ha-iris/internal/testkit"
)

// with is a change of one section.
func with(section, content string) map[string]string { return map[string]string{section: content} }

// badInput is a configuration by name, and what its refusal must say.
type badInput map[string]struct {
	config map[string]string
	want   []string
}

func (cases badInput) areRefused(t *testing.T) {
	t.Helper()
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checkRefused(t, existing(t, test.config), test.want)
		})
	}
}

func TestLoadConfig_RefusesBadInputBeforeAnythingIsCreated(t *testing.T) {
	t.Parallel()
	badInput{
		"unknown key":         {with("iris", `{"sise":"20Gi"}`), []string{"iris.sise: got a key that does not exist, want size"}},
		"unknown key, nested": {with("iris", `{"service":{"typ":"ClusterIP"}}`), []string{"iris.service.typ: got a key that does not exist, want type"}},
		"wrong type":          {with("storage", `{"replicas":"three"}`), []string{`storage.replicas: got "three", want a whole number`}},
		"not an object":       {with("storage", `three`), []string{`storage: got "three", want an object`}},
		"fewer nodes than replicas": {
			with("storage", `{"replicas":5}`),
			[]string{"storage.replicas: got 5, want at most cluster.nodes (3)"},
		},
		"too few nodes": {with("cluster", `{"cloud":"existing","nodes":2}`), []string{"cluster.nodes: got 2, want at least 3"}},
		"unknown cloud": {with("cluster", `{"cloud":"openstack"}`), []string{`cluster.cloud: got "openstack", want one of`}},
		"bucket where no cloud makes one": {with("storage", `{"backup":{"managed":true}}`), []string{
			"has 1 problem;", "storage.backup.managed: got true, want false with cluster.cloud existing: buckets are made with the clusters of ",
			"gke; make one yourself and set storage.backup.target",
		}},
		"bad backup": {map[string]string{
			"storage":           `{"backup":{"target":"s3://acme-backups@eu-west-1","cron":"hourly"}}`,
			"backupCredentials": `{"AWS_ACCESS_KEY_ID":"AKIA"}`,
		}, []string{
			"the configuration has 4 problems", "backupCredentials: got a value in clear text", "storage.backup.target: got an address without a slash", `storage.backup.cron: got "hourly"`,
			"backupCredentials: got an object that lacks them",
		}},
		"restore of something": {with("iris", `{"generation":0,"oldestGeneration":2,"restoreFrom":{"backup":"s3://acme-backups@eu-west-1/","snapshot":"before"}}`), []string{
			"the configuration has 4 problems", "iris.generation: got 0", "iris.oldestGeneration: got 2, want 1 to 1", "iris.restoreFrom: got a backup and a snapshot",
			"iris.restoreFrom.backup: got an address without the names of a backup and its volume, want the status.url of a backup",
		}},
		"restore without the driver": {map[string]string{
			"storage": `{"install":false,"className":"fast"}`, "iris": `{"generation":2,"restoreFrom":{"backup":"s3://b0b@eu/?backup=b&volume=v"}}`,
		}, []string{"has 1 problem;", "iris.restoreFrom.backup: got a value, want nothing with storage.install: false"}},
		"several together": {map[string]string{
			"cluster": `{"cloud":"existing","nodes":1}`, "storage": `{"replicas":true,"versionn":"1"}`,
			"iris": `{"size":"20","image":"x:latest"}`, "irisPassword": "SYS",
		}, []string{
			"the configuration has 6 problems; nothing was changed", "cluster.nodes: got 1", "storage.replicas: got true",
			"storage.versionn: got a key", `iris.size: got "20"`, "iris.image: got", "irisPassword: got",
		}},
	}.areRefused(t)
}

func TestLoadConfig_RefusesABadDatabase(t *testing.T) {
	t.Parallel()
	const loadBalancer = `"service":{"type":"LoadBalancer","sourceRanges":`
	badInput{
		"size without a unit":     {with("iris", `{"size":"20"}`), []string{`iris.size: got "20"`}},
		"size as a number":        {with("iris", `{"size":20}`), []string{`iris.size: got "20"`}},
		"size too small for IRIS": {with("iris", `{"size":"1Gi"}`), []string{`iris.size: got "1Gi"`}},
		"malformed source range":  {with("iris", `{`+loadBalancer+`["10.0.0.0/33"]}}`), []string{`iris.service.sourceRanges[0]: got "10.0.0.0/33"`}},
		"LoadBalancer open to nobody in particular": {
			with("iris", `{`+loadBalancer+`[]}}`),
			[]string{"iris.service.sourceRanges: got nothing", "0.0.0.0/0"},
		},
		"internal load balancer where nothing makes it one": {
			with("iris", `{"service":{"type":"LoadBalancer","sourceRanges":["10.0.0.0/8"],"internal":true}}`),
			[]string{"iris.service.internal: got true, want false, or in iris.service.annotations", "has 1 problem; nothing was changed"},
		},
		"missing password": {
			map[string]string{"irisPassword": ""},
			[]string{"irisPassword: got nothing", "pulumi config set --secret irisPassword"},
		},
		"default password":           {map[string]string{"irisPassword": "SYS"}, []string{"irisPassword: got "}},
		"password IRIS would refuse": {map[string]string{"irisPassword": "ab"}, []string{"irisPassword: got "}},
		"image with the tag latest":  {with("iris", `{"image":"intersystems/iris-community:latest"}`), []string{"iris.image: got"}},
		"image with a moving tag":    {with("iris", `{"image":"intersystems/iris-community:latest-em"}`), []string{"iris.image: got"}},
		"image without a tag":        {with("iris", `{"image":"intersystems/iris-community"}`), []string{"iris.image: got"}},
	}.areRefused(t)
}

func TestLoadConfig_RefusesABadCluster(t *testing.T) {
	t.Parallel()
	badInput{
		"both forms of kubeconfig": {
			with("cluster", `{"cloud":"existing","kubeconfigPath":"config"}`),
			[]string{"cluster.kubeconfigPath: got ", "one of the two"},
		},
		"kubeconfig file absent": {
			map[string]string{"cluster": `{"cloud":"existing","kubeconfigPath":"no/such"}`, "kubeconfig": ""},
			[]string{`cluster.kubeconfigPath: got "no/such", want a readable kubeconfig file`},
		},
		"context absent": {with("cluster", `{"cloud":"existing","context":"prod"}`), []string{`cluster.context: got "prod", want one of only`}},
		"machine too large for Community": {
			map[string]string{"cluster": `{"cloud":"eks","instanceType":"m6i.8xlarge"}`, "kubeconfig": ""},
			[]string{`cluster.instanceType: got "m6i.8xlarge", want a machine with at most 20 cores instead of 32`},
		},
		"database as large as the machine": {
			map[string]string{"cluster": `{"cloud":"eks"}`, "iris": `{"memory":"16Gi","cpu":4}`, "kubeconfig": ""},
			[]string{
				`iris.cpu: got "4", want less than the 4 cores of a node (m6i.xlarge)`, `iris.memory: got "16Gi", want less than the 16 GiB`,
			},
		},
		"image for nodes that nothing prepares": {
			map[string]string{
				"cluster": `{"cloud":"eks"}`, "storage": `{"nodePrepImage":"registry.example.com/busybox:1.37.0"}`, "kubeconfig": "",
			},
			[]string{"storage.nodePrepImage: got a value, want nothing with this cluster.cloud"},
		},
		"volume larger than a file of Longhorn's": {with("iris", `{"size":"16Ti"}`), []string{`iris.size: got "16Ti", want less than 16Ti`}},
		"database in the storage's namespace":     {with("iris", `{"namespace":"longhorn-system"}`), []string{`iris.namespace: got "longhorn-system", want another one: Longhorn is installed in it`}},
		"disk too small for a replica": {map[string]string{
			"cluster": `{"cloud":"gke","dataDiskGiB":100}`, "iris": `{"size":"90Gi"}`, "kubeconfig": "",
		}, []string{"cluster.dataDiskGiB: got 100, want at least 129: each node holds a whole replica of iris.size (90Gi), and Longhorn uses 70 %"}},
		"disk of its own too small for a replica": {map[string]string{
			"cluster": `{"cloud":"eks","dataDiskGiB":100}`, "iris": `{"size":"91Gi"}`, "kubeconfig": "",
		}, []string{"cluster.dataDiskGiB: got 100, want at least 102: each node holds a whole replica of iris.size (91Gi), and Longhorn uses 90 %"}},
		"setting of another cloud": {
			map[string]string{"cluster": `{"cloud":"eks","network":"vpc"}`, "kubeconfig": ""},
			[]string{"cluster.network: got a value, want nothing with cloud eks: it is a setting of gke"},
		},
	}.areRefused(t)
}

// A replica that just fits is no mistake: 90 % of a disk of its own, 70 % of one that it shares with the system.
func TestValidate_TakesADiskThatHasRoomForAReplica(t *testing.T) {
	t.Parallel()
	for cloud, size := range map[cluster.Cloud]string{cluster.EKS: "90Gi", cluster.AKS: "70Gi", cluster.GKE: "70Gi"} {
		cfg := defaultConfig()
		cfg.Cluster.Cloud, cfg.Cluster.DataDiskGiB, cfg.IRIS.Size = cloud, 100, size
		var found problems.List
		cfg.validateDisk(&found)
		if err := found.Err(); err != nil {
			t.Errorf("%s: %v", cloud, err)
		}
	}
}

func checkRefused(t *testing.T, options testkit.Options, words []string) {
	t.Helper()
	options.Preview = true
	recorder := &testkit.Recorder{}
	err := recorder.Run(Run, options)
	if err == nil {
		t.Fatal("accepted")
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("the message lacks %q:\n%v", word, err)
		}
	}
	for _, secret := range []string{testPassword, `"SYS"`, `"ab"`, "token: t", marker} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("the message shows a secret: %v", err)
		}
	}
	if golden := recorder.Golden(); golden != "" {
		t.Errorf("registered in spite of the error:\n%s", golden)
	}
}

func TestLoadConfig_RefusesASecretInClearText(t *testing.T) {
	t.Parallel()
	options := existing(t, nil)
	options.Secrets = []string{"ha-iris:kubeconfig"}
	err := (&testkit.Recorder{}).Run(Run, options)
	if err == nil || !strings.Contains(err.Error(), "irisPassword: got a value in clear text") ||
		!strings.Contains(err.Error(), "pulumi config set --secret irisPassword") || strings.Contains(err.Error(), testPassword) {
		t.Errorf("got %v", err)
	}
}

func TestCheckTopLevelKeys_RefusesWhatIsNotOurs(t *testing.T) {
	t.Parallel()
	cfg := defaultConfig()
	err := checkTopLevelKeys("ha-iris", `{"ha-iris:dataDiskGiB":"3","ha-iris:irisPassword":"x","aws:region":"eu-west-1"}`, &cfg)
	if err == nil || !strings.HasPrefix(err.Error(), "dataDiskGiB: got a key that does not exist, want cluster.dataDiskGiB, perhaps") {
		t.Errorf("got %v", err)
	}
	if err := checkTopLevelKeys("ha-iris", `{"ha-iris:cluster":"{}","pulumi:disable-default-providers":"x"}`, &cfg); err != nil {
		t.Errorf("valid keys refused: %v", err)
	}
	if err := checkTopLevelKeys("ha-iris", `{"ha-iris:irisPassword":"hunter2`, &cfg); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
}

func TestCheckTopLevelKeys_GivesTheCommandsThatMendIt(t *testing.T) {
	t.Parallel()
	cfg := defaultConfig()
	for name, want := range map[string]string{
		"iris.size": "the same with --path, which puts it into its object; " +
			"run: pulumi config rm iris.size; pulumi config set --path iris.size VALUE",
		"iris.service.type":    "pulumi config rm iris.service.type; pulumi config set --path iris.service.type VALUE",
		"iris.sise":            "want iris.size, perhaps; run: pulumi config rm iris.sise; pulumi config set --path iris.size VALUE",
		"size":                 "want iris.size, perhaps; run: pulumi config rm size; pulumi config set --path iris.size VALUE",
		"image":                "want failover.image or iris.image or iris.webGateway.image, perhaps",
		"clutser":              "want cluster, perhaps; the keys are",
		"password":             "want the secret irisPassword; run: pulumi config rm password; pulumi config set --secret irisPassword",
		"iris.password":        "want the secret irisPassword; run: pulumi config rm iris.password; pulumi config set --secret irisPassword",
		"irispasswrd":          "want the secret irisPassword",
		"registryPassword":     "want the secret irisRegistryPassword",
		"cluster.kubeconfig":   "want the secret kubeconfig",
		"something.else":       "want one of cluster, failover, iris, storage",
		"cluster.unknownThing": "want one of cluster, failover, iris, storage",
	} {
		err := checkTopLevelKeys("ha-iris", `{"ha-iris:`+name+`":"hunter2"}`, &cfg)
		if err == nil || !strings.HasPrefix(err.Error(), name+": got a key that does not exist, want ") ||
			!strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got %v, want %s", name, err, want)
		}
	}
}

func TestLoadConfig_PointsASecretToItsKey(t *testing.T) {
	t.Parallel()
	for path, key := range map[string]string{
		"iris.password": "irisPassword", "iris.irisPassword": "irisPassword", "iris.licenseKey": "irisLicenseKey",
		"iris.registry.password": "irisRegistryPassword", "iris.registryPassword": "irisRegistryPassword",
		"cluster.kubeconfig": "kubeconfig", "storage.backup.credentials": "backupCredentials", "storage.backupCredentials": "backupCredentials",
	} {
		section, rest, _ := strings.Cut(path, ".")
		for _, secret := range []bool{true, false} {
			options := existing(t, nil)
			options.Config["ha-iris:"+section] = nest(t, strings.Split(rest, "."), marker)
			if secret {
				options.Secrets = append(options.Secrets, "ha-iris:"+section)
			}
			err := (&testkit.Recorder{}).Run(Run, options)
			want := path + ": got a key that does not exist, want the secret " + key + "; run: pulumi config rm --path " + path +
				"; pulumi config set --secret " + key
			if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), marker) {
				t.Errorf("%s, secret %v: got %v, want %s", path, secret, err, want)
			}
		}
	}
}

func TestLoadConfig_SaysHowToSetAKeyOfAnObject(t *testing.T) {
	t.Parallel()
	for _, section := range []string{"cluster", "storage", "iris"} {
		for _, text := range []string{"40Gi", "3", `["a"]`} {
			checkRefused(t, existing(t, with(section, text)), []string{
				section + ": got ", "want an object with the keys ",
				"run: pulumi config rm " + section + "; pulumi config set --path " + section + ".KEY VALUE",
			})
		}
	}
}

func TestLoadConfig_ChecksTheShapeOfSecretsWithoutShowingThem(t *testing.T) {
	t.Parallel()
	const licensed = `{"edition":"licensed","image":"containers.intersystems.com/intersystems/iris:2026.1.0.233.0",` +
		`"registry":{"username":"me"},"webGateway":{"image":"containers.intersystems.com/intersystems/webgateway-lockeddown:2026.1.0.233.0"}}`
	for name, test := range map[string]struct {
		secrets map[string]string
		want    string
	}{
		"licence key as a path":   {map[string]string{"irisLicenseKey": "keys/" + marker + "/iris.key"}, "irisLicenseKey: got a path"},
		"licence key of blanks":   {map[string]string{"irisLicenseKey": " \n\n"}, "irisLicenseKey: got nothing but blanks"},
		"licence key without any": {map[string]string{"irisLicenseKey": marker}, "irisLicenseKey: got a text that has not a section"},
		"licence key in JSON":     {map[string]string{"irisLicenseKey": `{"LicenseKey":["` + marker + `"]}`}, "irisLicenseKey: got a text that has not"},
		"token with an end of line": {
			map[string]string{"irisRegistryPassword": marker + "\n"}, "irisRegistryPassword: got a blank or an end of line",
		},
		"docker's file": {
			map[string]string{"irisRegistryPassword": `{"auths":{"r":{"auth":"` + marker + `"}}}`}, "irisRegistryPassword: got docker's config.json",
		},
		"kubeconfig as a path": {map[string]string{"kubeconfig": "/home/" + marker + "/.kube/config"}, "kubeconfig: got a path"},
		"kubeconfig by name":   {map[string]string{"kubeconfig": "kubeconfig"}, "kubeconfig: got a path"},
		"kubeconfig as text":   {map[string]string{"kubeconfig": marker}, "kubeconfig: got something that is not a kubeconfig"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			options := existing(t, with("iris", licensed))
			options.Config["ha-iris:irisLicenseKey"] = "\uFEFF[ConfigFile]\r\nFileType=InterSystems License\r\n[License]\r\nLicenseKey=x\r\n"
			options.Config["ha-iris:irisRegistryPassword"] = "token"
			options.Secrets = append(options.Secrets, "ha-iris:irisLicenseKey", "ha-iris:irisRegistryPassword")
			for key, value := range test.secrets {
				options.Config["ha-iris:"+key] = value
			}
			checkRefused(t, options, []string{"has 1 problem;", test.want, "< "})
		})
	}
}
