package storage_test

import (
	"strings"
	"testing"

	"ha-iris/internal/secret"
	"ha-iris/internal/traits"
	"ha-iris/storage"
)

const (
	// leaked would pass for a part of every value; no message may have it.
	leaked  = "sup3rs3cr3t"
	s3Login = `{"AWS_ACCESS_KEY_ID":"AKIA` + leaked + `","AWS_SECRET_ACCESS_KEY":"` + leaked + `"}`
)

func backedUp(target, credentials string) storage.Config {
	cfg := storage.DefaultConfig()
	cfg.Backup.Target, cfg.BackupCredentials = target, secret.New(credentials)
	return cfg
}

func TestBackup_TakesTheTargetsThatLonghornHas(t *testing.T) {
	t.Parallel()
	const (
		azure = `{"AZBLOB_ACCOUNT_NAME":"acme","AZBLOB_ACCOUNT_KEY":"a2V5"}`
		cifs  = `{"CIFS_USERNAME":"u","CIFS_PASSWORD":"p"}`
		cert  = `"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----"`
	)
	for target, credentials := range map[string]string{
		"s3://acme-backups@eu-west-1/":                                   s3Login,
		"s3://acme.backups@us/a/b/":                                      s3Login,
		"s3://backups@us-east-1/":                                        `{"AWS_IAM_ROLE_ARN":"arn:aws:iam::123456789012:role/backups"}`,
		"s3://minio@eu/":                                                 strings.Replace(s3Login, "{", `{"AWS_ENDPOINTS":"https://minio:9000","VIRTUAL_HOSTED_STYLE":"false","AWS_CERT":`+cert+`,`, 1),
		"s3://proxied@eu/":                                               strings.Replace(s3Login, "{", `{"HTTPS_PROXY":"http://proxy:3128","NO_PROXY":"10.0.0.0/8",`, 1),
		"azblob://backups@core.windows.net/":                             azure,
		"azblob://backups@core.chinacloudapi.cn/iris/":                   azure,
		"nfs://nas.example.com:/exports/backups":                         "",
		"nfs://10.0.0.1:/b?nfsOptions=soft,timeo=150":                    "",
		"nfs://[fd00::1]:/b":                                             "",
		"cifs://nas/share":                                               cifs,
		"cifs://nas.example.com/share/path?cifsOptions=vers=3.0,rsize=1": cifs,
		"": "",
	} {
		if err := backedUp(target, credentials).Validate(); err != nil {
			t.Errorf("%s: %v", target, err)
		}
	}
}

func TestBackup_RefusesATargetThatLonghornWouldNotTake(t *testing.T) {
	t.Parallel()
	for target, want := range map[string]string{
		"s3://" + leaked + "/":                               "an address without a region, want s3://BUCKET@REGION/PATH/",
		"s3://" + leaked + "@eu-west-1":                      "without a slash at its end",
		"s3://" + leaked + "@eu-west-1/path":                 "without a slash at its end",
		"s3://" + leaked + "@eu-west-1//":                    "two slashes in a row",
		"s3://" + leaked + "@/":                              "no region after the @",
		"s3://" + leaked + "@eu-west-1:443/":                 "no region after the @",
		"s3://AKIA" + leaked + "@eu-west-1/":                 "no bucket of S3",
		"s3://user:" + leaked + "@eu-west-1/":                "an address with a password in it",
		"s3://" + leaked + "@eu-west-1/?x=1":                 "parameters that it does not take",
		"s3://" + leaked + "@eu-west-1/#":                    "a blank, a # or another",
		"s3://" + leaked + "@eu west/":                       "a blank",
		"s3://%zz" + leaked + "@eu/":                         "no valid address",
		"azblob://" + leaked + "/":                           "without the service",
		"azblob://" + leaked + "@core.windows.net":           "without a slash",
		"azblob://" + leaked + "@blob/":                      "no service after the @",
		"azblob://a--" + leaked + "@core.windows.net/":       "no container",
		"nfs://nas/" + leaked:                                "no colon between host and path",
		"nfs://nas:2049/" + leaked:                           "no colon between host and path",
		"nfs://:/" + leaked:                                  "no host",
		"nfs://nas:/?nfsOptions=" + leaked:                   "no path",
		"nfs://nas:/x?" + leaked + "=1":                      "parameters that it does not take",
		"cifs://nas/":                                        "no share",
		"cifs:///" + leaked:                                  "no host",
		"cifs://" + leaked + "@nas/share":                    "a login in the address",
		"cifs://nas/s?cifsOptions=vers=3,password=" + leaked: "a login among its cifsOptions",
		"cifs://nas/s?cifsOptions=vers=3;password=" + leaked: "parameters that cannot be read",
		"https://" + leaked:                                  "something that begins otherwise, want s3://",
		leaked:                                               "something that begins otherwise",
		"gs://" + leaked:                                     "something that begins otherwise",
		"s3:" + strings.Repeat("x", 5000):                    "characters, want at most 4096",
	} {
		err := backedUp(target, "").Validate()
		if err == nil || !strings.Contains(err.Error(), "storage.backup.target: got ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", target, err, want)
		}
		if err != nil && strings.Contains(err.Error(), leaked) {
			t.Errorf("%s: the message shows a part of it: %v", target, err)
		}
	}
}

func TestBackup_RefusesALoginThatLonghornWouldNotTake(t *testing.T) {
	t.Parallel()
	const s3, azure, cifs, nfs = "s3://acme-backups@eu-west-1/", "azblob://backups@core.windows.net/", "cifs://nas/share", "nfs://nas:/x"
	const both = "an object that lacks them, want AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_IAM_ROLE_ARN alone"
	with := func(more string) string { return strings.Replace(s3Login, "{", "{"+more+",", 1) }
	for name, test := range map[string]struct{ target, credentials, want string }{
		"none":                 {s3, "", "backupCredentials: got nothing, want AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_IAM_ROLE_ARN"},
		"none for azblob":      {azure, "", "got nothing, want AZBLOB_ACCOUNT_NAME and AZBLOB_ACCOUNT_KEY"},
		"none for cifs":        {cifs, "", "got nothing, want CIFS_USERNAME and CIFS_PASSWORD"},
		"one for nfs":          {nfs, s3Login, "got a value, want nothing with nfs://"},
		"no JSON":              {s3, "AWS_ACCESS_KEY_ID=" + leaked, "got something else, want a JSON object of texts"},
		"a list":               {s3, `["` + leaked + `"]`, "got something else"},
		"null":                 {s3, `null`, "got something else"},
		"two objects":          {s3, s3Login + s3Login, "got something else"},
		"a number":             {s3, `{"AWS_ACCESS_KEY_ID":5,"AWS_SECRET_ACCESS_KEY":"` + leaked + `"}`, "got something else"},
		"half a login":         {s3, `{"AWS_ACCESS_KEY_ID":"` + leaked + `"}`, both},
		"a role beside a key":  {s3, with(`"AWS_IAM_ROLE_ARN":"arn"`), both},
		"empty object":         {s3, `{}`, both},
		"half for azblob":      {azure, `{"AZBLOB_ACCOUNT_NAME":"` + leaked + `"}`, "want AZBLOB_ACCOUNT_NAME and AZBLOB_ACCOUNT_KEY"},
		"half for cifs":        {cifs, `{"CIFS_USERNAME":"` + leaked + `"}`, "want CIFS_USERNAME and CIFS_PASSWORD"},
		"another scheme's":     {azure, s3Login, "got 2 of its keys that Longhorn does not know with azblob://, want only AZBLOB_ACCOUNT_NAME"},
		"a value as key":       {s3, with(`"` + leaked + `":"x"`), "got 1 of its keys that Longhorn does not know"},
		"empty endpoint":       {s3, with(`"AWS_ENDPOINTS":""`), "AWS_ENDPOINTS with nothing in it"},
		"end of line":          {s3, strings.Replace(s3Login, leaked+`"}`, leaked+`\n"}`, 1), "AWS_SECRET_ACCESS_KEY with a blank or an end of line"},
		"endpoint without ://": {s3, with(`"AWS_ENDPOINTS":"` + leaked + `:9000"`), "AWS_ENDPOINTS with something that is no address"},
		"certificate's path":   {s3, with(`"AWS_CERT":"/` + leaked + `"`), "AWS_CERT with something that is no certificate"},
		"style":                {s3, with(`"VIRTUAL_HOSTED_STYLE":"` + leaked + `"`), "VIRTUAL_HOSTED_STYLE with something that is not true or false"},
		"several lines":        {s3, with(`"HTTP_PROXY":"` + leaked + `\nx"`), "HTTP_PROXY with several lines"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := backedUp(test.target, test.credentials).Validate()
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), leaked) {
				t.Errorf("the message shows a part of it: %v", err)
			}
		})
	}
}

func TestBackup_ReportsEveryProblem(t *testing.T) {
	t.Parallel()
	change := func(cfg storage.Config, apply func(*storage.Config)) storage.Config {
		apply(&cfg)
		return cfg
	}
	several := change(backedUp("s3://backups@eu-west-1/x", `{"AWS_ACCESS_KEY_ID":" x"}`), func(c *storage.Config) {
		c.Backup.Cron, c.Backup.Retain, c.Backup.PollIntervalSeconds = "@daily", 101, -1
		c.Values = map[string]any{"defaultBackupStore": map[string]any{"backupTarget": "s3://other@eu/"}}
	})
	for name, test := range map[string]struct {
		cfg  storage.Config
		want []string
	}{
		"several at once": {several, []string{
			"storage.backup.target: got an address without a slash", "backupCredentials: got AWS_ACCESS_KEY_ID with a blank",
			"backupCredentials: got an object that lacks them", `storage.backup.cron: got "@daily", want minute, hour`, "(it has 1 fields instead of 5)",
			"storage.backup.retain: got 101, want 1 to 100", "storage.backup.pollIntervalSeconds: got -1, want 0 (never) to 86400",
			"storage.values.defaultBackupStore: got a value, want nothing beside storage.backup, which sets the same",
		}},
		"managed beside a target": {change(backedUp("s3://backups@eu-west-1/", s3Login), func(c *storage.Config) { c.Backup.Managed = true }), []string{
			"storage.backup.target: got a value, want nothing beside storage.backup.managed",
			"backupCredentials: got a value, want nothing beside storage.backup.managed",
		}},
		"never kept": {change(backedUp("", ""), func(c *storage.Config) { c.Backup.Retain = 0 }), []string{"storage.backup.retain: got 0"}},
		"consistent ones": {
			change(backedUp("", ""), func(c *storage.Config) { c.Backup.Consistent = storage.Consistent{Cron: "60 2 * * *", Retain: 366} }),
			[]string{`storage.backup.consistent.cron: got "60 2 * * *", want minute, hour`, "storage.backup.consistent.retain: got 366, want 1 to 365"},
		},
		"verified without any": {
			change(backedUp("", ""), func(c *storage.Config) { c.Backup.Verify = storage.Verify{Enabled: true, Cron: "weekly"} }),
			[]string{
				"storage.backup.verify.enabled: got true, want false without backups; set storage.backup.target or storage.backup.managed",
				`storage.backup.verify.cron: got "weekly", want minute, hour, day of the month, month and day of the week in UTC, such as 0 4 * * 0`,
			},
		},
		"looked at never": {change(backedUp("", ""), func(c *storage.Config) { c.Backup.PollIntervalSeconds = 86401 }), []string{"got 86401"}},
		"a login alone":   {backedUp("", s3Login), []string{"backupCredentials: got a value, want nothing without storage.backup.target"}},
		"own storage": {change(backedUp("s3://backups@eu-west-1/", s3Login), func(c *storage.Config) { c.Install = false }), []string{
			"storage.backup: got a value, want nothing with storage.install: false: it is a setting of Longhorn",
			"backupCredentials: got a value, want nothing with storage.install: false: backups are made by Longhorn",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := test.cfg.Validate()
			if err == nil {
				t.Fatal("taken")
			}
			if got := strings.Count(err.Error(), "\n") + 1; got != len(test.want) && name != "several at once" {
				t.Errorf("%d problems, want %d:\n%v", got, len(test.want), err)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the message lacks %q:\n%v", want, err)
				}
			}
		})
	}
	usual := storage.DefaultConfig()
	usual.Values = map[string]any{"defaultBackupStore": map[string]any{"backupTarget": "s3://own@eu/"}}
	if err := usual.Validate(); err != nil {
		t.Errorf("a target in the chart's values alone: %v", err)
	}
}

func TestBackup_InGooglesStorageWantsALonghornThatItTakes(t *testing.T) {
	t.Parallel()
	const google = "https://storage.googleapis.com"
	for version, taken := range map[string]bool{
		"1.10.2": false, "1.11.3": false, "1.11.4": true, "1.11.5": true, "1.12.0": false, "1.12.1": true, "1.12.2": true, "1.13.0": true, "2.0.0": true,
	} {
		for _, endpoint := range []string{google, "https://minio.example.com"} {
			given, managed := storage.DefaultConfig(), storage.DefaultConfig()
			given.Version, managed.Version = version, version
			given.Backup.Target = "s3://acme-backups@eu/iris/"
			given.BackupCredentials = secret.New(`{"AWS_ACCESS_KEY_ID":"AKIAKEY","AWS_SECRET_ACCESS_KEY":"hunter2hunter2","AWS_ENDPOINTS":"` + endpoint + `"}`)
			managed.Backup.Managed = true
			for name, err := range map[string]error{
				"given": given.ValidateOn(traits.Storage{}), "managed": managed.ValidateOn(traits.Storage{BackupEndpoint: endpoint}),
			} {
				refused := err != nil && strings.Contains(err.Error(), "storage.version: got \""+version+"\", want 1.12.1 or later")
				if want := endpoint == google && !taken; refused != want || !refused && err != nil {
					t.Errorf("%s, %s at %s: %v", version, name, endpoint, err)
				}
			}
		}
	}
}
