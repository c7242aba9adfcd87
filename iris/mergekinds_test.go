package iris

import (
	"slices"
	"strings"
	"testing"
)

// kindRefusals are what one rule refused and the rule beside it took.
// kindAction is a refused line on a database that offers everything.
func kindAction(line, rest string) refusal {
	return refusal{func(c *Config) {
		c.Service.Superserver, c.Metrics, c.MonitoringNamespace = true, Annotations, "monitoring"
		actionOf(line)(c)
	}, "iris.actions[0]: got " + rest}
}

func kindRefusals() []refusal { return slices.Concat(kindAccessRefusals(), kindSecretRefusals()) }

func kindAccessRefusals() []refusal {
	const passwordBit = ", want AutheEnabled with 32 among its bits, or none: "
	return []refusal{
		// A superserver is told by its port, which the first part of an action may be without saying so.
		kindAction("DeleteServer:1972", `"Delete=1", want this superserver left alone`),
		kindAction(`DeleteServer:"1972,"`, `"Delete=1", want this superserver left alone`),
		kindAction("DeleteServer:1972,0.0.0.0", `"Delete=1", want this superserver left alone`),
		kindAction("ModifyServer:1972,Enabled=0", `"Enabled=0", want 1: the web server reaches`),
		kindAction("CreateServer:Port=01972,Enabled=0", `"Enabled=0", want 1: the web server reaches`),
		kindAction("CreateServer:Port=+1972,Enabled=0", `"Enabled=0", want 1: the web server reaches`),
		kindAction("ModifyServer:Port=1972.0,SSLSupportLevel=2", `"SSLSupportLevel=2", want 0 or 1`),
		kindAction("ModifyServer: 01972 ,EnableClients=0", `"EnableClients=0", want 1: iris.service.superserver is true`),

		kindAction("ModifyService:Name=%Service_WebGateway,AutheEnabled=64", `"AutheEnabled=64"`+passwordBit+"the web server logs in with a password"),
		kindAction("ModifyService:%service_csp,AutheEnabled=$$$AutheUnauthenticated", `"AutheEnabled=$$$AutheUnauthenticated"`+passwordBit),
		kindAction("ModifyService:Name=%Service_WebGateway,ClientSystems=10.0.0.1", `"ClientSystems=10.0.0.1", want ClientSystems with 127.0.0.1 among them`),
		kindAction(`ModifyService:Name=%Service_WebGateway,ClientSystems="10.0.0.1,127.0.0.10"`, `"ClientSystems=10.0.0.1", want ClientSystems with`),
		kindAction("DeleteService:Name=%Service_WebGateway", `"Delete=1", want this service left alone: the portal`),
		kindAction("DeleteService:%Service_Bindings", `"Delete=1", want this service left alone: iris.service.superserver is true`),
		kindAction("ModifySystem:Name=SYSTEM,AutheEnabled=32", `"AutheEnabled=32", want AutheEnabled with 64 among its bits, or none: iris.metrics`),

		kindAction("ModifyUser:Name=CSPSystem,ExpirationDate=2020-01-01", `"ExpirationDate=2020-01-01", want no ExpirationDate: the web server`),
		kindAction("ModifyUser:Name=CSPSystem,AccountNeverExpires=0", `"AccountNeverExpires=0", want 1: the web server logs in`),
		kindAction("ModifyUser:Name=CSPSystem,AutheEnabled=0", `"AutheEnabled=0"`+passwordBit+"the web server logs in as CSPSystem"),
		kindAction("ModifyUser:cspsystem,AutheEnabled=1048576", `"AutheEnabled=1048576"`+passwordBit),
		kindAction("ModifyUser:Name=CSPSystem,Roles=", `"Roles=", want roles, or no Roles: the web server`),
		kindAction(`ModifyUser:Name=CSPSystem,Roles=" , "`, `"Roles=", want roles, or no Roles: the web server`),
	}
}

func kindSecretRefusals() []refusal {
	const (
		ownDirectory = ", want a directory of the database's own, such as /external/iris/mgr/NAME: this one is IRIS' own"
		outside      = ", want a full path on the data volume"
		inClear      = "a secret in clear, want none here"
	)
	cases := []refusal{
		kindAction("CreateUser:Name=x,HOTPKey=topsecret", inClear),
		kindAction("CreateUser:Name=x,Pwd=topsecret", "a password in clear, want PasswordHash="),
		kindAction("CreateUser:Name=x,InitialToken=topsecret", inClear),
		kindAction("CreateOAuth2Client:ApplicationName=x,RegistrationAccessToken=topsecret", inClear),
		kindAction("CreateOAuth2Client:ApplicationName=x,AccessTokens=topsecret", inClear),
		kindAction("CreateEmailAccount:Name=x,pwd=topsecret", "a password in clear, want none here"),
		kindAction("CreateComing:Passphrase=topsecret", "a password in clear, want none here"),
		kindAction("CreateComing:SigningPrivateKey=topsecret", inClear),
		kindAction("CreateComing:APIKey=topsecret", inClear),
		kindAction("CreateComing:S3AccessKeyID=topsecret", inClear),
		kindAction("CreateComing:SymmetricKey64=topsecret", inClear),
		kindAction("CreateComing:Pa\u017fsword=topsecret", "a password in clear, want none here"),
		{cpfOf("Coming", "Pwd", "topsecret"), "iris.cpf.Coming.Pwd: got a password in clear"},
		{cpfOf("Coming", "Pwd", "topsecret\n"), "iris.cpf.Coming.Pwd: got a text that is not shown"},
		{cpfOf("Coming", "HOTPKey", "topsecret\n"), "iris.cpf.Coming.HOTPKey: got a text that is not shown"},

		{cpfOf("Databases", "IRISSYS", "/usr/irissys/mgr/"), `iris.cpf.Databases.IRISSYS: got "/usr/irissys/mgr/"` + outside},
		{cpfOf("config", "global\u017f", "0,0,8192,0,0,0"), "iris.cpf.config: got \"global\u017f\", want a key of ASCII characters"},
		{cpfOf("Map.USER", "Global_\u212aEYS", "APP"), "iris.cpf.Map.USER: got"},
	}
	for _, directory := range []string{"/external/iris", "/external/iris/", "/external/iris/mgr", "/external/iris/mgr/", "/external/iris/./mgr/."} {
		cases = append(cases, kindAction("CreateDatabase:Name=APP,Directory="+directory, `"Directory=`+directory+`"`+ownDirectory),
			kindAction("CreateDatabaseFile:Directory="+directory, `"Directory=`+directory+`"`+ownDirectory),
			refusal{cpfOf("Databases", "APP", directory), `iris.cpf.Databases.APP: got "` + directory + `"` + ownDirectory})
	}
	for _, command := range []string{
		"irislogd -d -f/tmp/x.log", "irislogd -f /external/x.log -e /tmp/x.log", "irislogd -e/tmp/x.log", "irislogd -sf/tmp/x.log", "irislogd -df /tmp/x.log",
		"irislogd -h host -i iris -f /tmp/x.log", "/usr/irissys/bin/irislogd -f x.log", `"irislogd" -f '/tmp/x.log'`, "irislogd -f /external/x.log -f/tmp/y.log",
	} {
		cases = append(cases, refusal{cpfOf("Logging", "ChildProcessLaunchCommand", command), "iris.cpf.Logging.ChildProcessLaunchCommand: got "})
	}
	return cases
}

// TestMerge_AcceptsWhatOnlyLooksAlike: what the rules for kinds of things leave alone.
func TestMerge_AcceptsWhatOnlyLooksAlike(t *testing.T) {
	t.Parallel()
	for _, action := range []string{
		"DeleteServer:1973", "DeleteServer:Port=19720", "ModifyServer:51972,Enabled=0",
		"ModifyService:Name=%Service_WebGateway,AutheEnabled=96",
		"ModifyService:Name=%Service_WebGateway,AutheEnabled=$$$AuthePassword+$$$AutheUnauthenticated",
		"ModifyService:Name=%Service_WebGateway,ClientSystems=",
		"ModifyService:Name=%Service_WebGateway,ClientSystems=10.0.0.1,127.0.0.1",
		`ModifyService:Name=%Service_WebGateway,ClientSystems="10.0.0.1;localhost|%All"`,
		"ModifyService:Name=%Service_Telnet,ClientSystems=10.0.0.1", "DeleteService:Name=%Service_Telnet",
		"DeleteService:Name=%Service_Bindings",     // iris.service.superserver is false.
		"ModifySystem:Name=SYSTEM,AutheEnabled=32", // iris.metrics is none.
		"ModifyUser:Name=CSPSystem,ExpirationDate=", "ModifyUser:Name=CSPSystem,Roles=%DB_APP,APP_ROLE", "ModifyUser:Name=CSPSystem,AutheEnabled=32",
		"ModifyUser:Name=APP,ExpirationDate=2030-01-01,AutheEnabled=1048576,Roles=,AccountNeverExpires=0",
		"ModifyUser:Name=APP,HOTPKeyGenerate=1,HOTPKeyDisplay=1",
		"CreateApplication:Name=/app,JWTAuthEnabled=1,JWTAccessTokenTimeout=60,JWTRefreshTokenTimeout=900,CSRFToken=1",
		"CreateOAuth2Server:TokenEndpoint=https://x/token,TokenEndpointAuthMethod=none,IDTokenSignedResponseAlg=RS256,IDTokenEncryptedResponseEnc=A128",
		"CreateOAuth2ServerDefinition:AccessTokenInterval=3600,RefreshTokenInterval=3600,ClientSecretInterval=0,GenerateTokenClass=App.Token,ReturnRefreshToken=o",
		"CreateSSLConfig:Name=x,PrivateKeyFile=/opt/app/key.pem,PrivateKeyType=2,CertificateFile=/opt/app/cert.pem",
		"ModifyComing:BypassProxy=1,PassiveMode=1",
		"CreateDatabase:Name=APP,Directory=/external/iris/mgr2", "CreateDatabase:Name=APP,Directory=/external/iris/app/",
		"CreateDatabase:Name=APP,Directory=/external/iris/mgr,Server=ECP1,LogicalOnly=1",
		"ModifyDatabase:Name=IRISSYS,Directory=/external/iris/mgr/",
		"ModifyLogging:ChildProcessLaunchCommand=irislogd -d -f/external/x.log -e /external/y.log -h host -i iris -s",
		"ModifyLogging:ChildProcessLaunchCommand=irislogd", "ModifyLogging:ChildProcessLaunchCommand=irislogd -f",
		"ModifyLogging:ChildProcessLaunchCommand=",
		"CreateUser:Name=Jos\u00e9,NameSpace=APP",
	} {
		if err := community(actionOf(action)).Validate(); err != nil {
			t.Errorf("%s: %v", action, err)
		}
	}
	if err := community(cpfOf("Databases", "IRISSYS", "/external/iris/mgr/")).Validate(); err != nil {
		t.Error(err)
	}
}

// TestCPF_ComparesNamesAsRulesDo: no key that the rules take for another one becomes a key of the program's in the file.
func TestCPF_ComparesNamesAsRulesDo(t *testing.T) {
	t.Parallel()
	for section, keys := range newCPF(community(), planMemory(4*gib, community())) {
		for known := range keys {
			for from, to := range map[string]string{"s": "\u017f", "S": "\u017f", "k": "\u212a", "K": "\u212a"} {
				disguised := strings.ReplaceAll(known, from, to)
				if bare(disguised) != bare(known) {
					t.Errorf("%q and %q are two names for rules, and one elsewhere", disguised, known)
				}
				if disguised != known && checkCPFKey(disguised) == "" {
					t.Errorf("[%s] %q is accepted", section, disguised)
				}
			}
		}
	}
}
