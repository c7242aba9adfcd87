package iris

import (
	"fmt"
	"slices"
)

// refusal is a merge file with one mistake, and the beginning of the one message about it.
type refusal struct {
	change func(*Config)
	want   string
}

// refusals has at least one case for every rule; TestMergeRules_AreAllTested finds the rule that has none.
func refusals() []refusal {
	return slices.Concat(placeRefusals(), ownedRefusals(), accessRefusals(), kindRefusals())
}

// wantBelow begins what is wanted where a directory is not on the volume.
const wantBelow = `want a full path on the data volume, without '..' and '//', such as /external/iris/mgr/`

// outside is a directory in a section, and outsideInAction one in an action; both name what stays of it on the volume.
func outside(section, key, value, shown, name string) refusal {
	return refusal{cpfOf(section, key, value), fmt.Sprintf("iris.cpf.%s.%s: got %q, %s%s or /external/", section, key, shown, wantBelow, name)}
}

func outsideInAction(line, shown, name string) refusal {
	return refusal{actionOf(line), fmt.Sprintf("iris.actions[0]: got %q, %s%s or /external/", shown, wantBelow, name)}
}

// placeRefusals are directories that are not on the volume.
func placeRefusals() []refusal {
	var cases []refusal
	for value, name := range map[string]string{
		"/usr/irissys/mgr/APP": "APP", "/usr/irissys/mgr/APP/": "APP", "APP": "APP", "mgr/APP": "APP", "./APP": "APP", "/APP": "APP",
		"/home/irisowner/app_code/": "app_code", "/external": "NAME", "/external/": "NAME", "/external/.": "NAME",
		"/external/lost+found": "NAME", "/external/./lost+found/APP": "APP", "/external/iris/../../usr/APP": "APP",
		"/external/iris/../iris/APP": "APP", "/external//iris/APP": "APP", "//external/iris/APP": "APP", "/External/APP": "APP",
		"/external2/APP": "APP", "/external-APP": "external-APP", `C:\InterSystems\mgr\APP`: "APP", `/external\APP`: "APP",
		"~/APP": "APP", "$HOME/APP": "APP", "/external/iris/mgr/#APP": "NAME", "/external/a;/APP": "APP", "": "NAME",
		"/dur/iris/mgr/my app": "NAME", ":mirror:SET:APP": "NAME",
	} {
		cases = append(cases, outside("Databases", "APP", value, value, name),
			outsideInAction("CreateDatabase:Name=APP,Directory="+value, "Directory="+value, name))
	}
	return slices.Concat(cases, sectionPlaceRefusals(), actionPlaceRefusals())
}

func sectionPlaceRefusals() []refusal {
	return []refusal{
		outside("databases", "APP", "/usr/irissys/mgr/APP,,1", "/usr/irissys/mgr/APP", "APP"),
		outside("Databases", "APP", "/external/iris/mgr/APP,,1,,,/data/streams", "/data/streams", "streams"),
		outside("Databases", "IRISTEMP", "/tmp/iristemp/", "/tmp/iristemp/", "iristemp"),
		outside("Databases", "IRISAUDIT", "/data/irisaudit", "/data/irisaudit", "irisaudit"),
		outside("Journal", "CurrentDirectory", "/iris/journal1/", "/iris/journal1/", "journal1"),
		outside("journal", "alternatedirectory", "journal2", "journal2", "journal2"),
		outside("config", "wijdir", "/irissys/wij/", "/irissys/wij/", "wij"),
		outside("config", "pijdir", "/pij", "/pij", "pij"),
		outside("config", "console", ",/var/log/messages.log", "/var/log/messages.log", "NAME"),
		outside("Startup", "TempDirectory", "/tmp/iris", "/tmp/iris", "iris"),
		outside("Startup", "TempDirectory", "../../../tmp", "../../../tmp", "tmp"),
		outside("Archives", "OLD", "rsync,/archive/", "/archive/", "archive"),
		{
			cpfOf("Logging", "ChildProcessLaunchCommand", "irislogd -f /tmp/irislogd.log"),
			`iris.cpf.Logging.ChildProcessLaunchCommand: got "irislogd -f /tmp/irislogd.log", want a full path on the data volume`,
		},
		outside("Coming", "LogDirectory", "/var/log", "/var/log", "log"),
		outside("Coming", "spooldir", "/var/spool", "/var/spool", "spool"),
		outside("Coming", "StreamLocation", "streams", "streams", "streams"),
		{cpfOf("Journal", "JournalFilePrefix", "../x/"), `iris.cpf.Journal.JournalFilePrefix: got "../x/", want a prefix`},
	}
}

func actionPlaceRefusals() []refusal {
	return []refusal{
		outsideInAction("ModifyDatabase:Name=APP,Directory=/data/APP", "Directory=/data/APP", "APP"),
		outsideInAction("CreateDatabaseFile:Directory=/data/APP,Size=10", "Directory=/data/APP", "APP"),
		outsideInAction("ModifyDatabaseFile:Directory=/data/APP,Size=10", "Directory=/data/APP", "APP"),
		// A directory is another machine's only where IRIS makes no file of its own (RACS CreateDatabase).
		outsideInAction("CreateDatabase:Name=APP,Directory=/data/APP,Server=ECP1", "Directory=/data/APP", "APP"),
		outsideInAction("CreateDatabase:Name=APP,Directory=/data/APP,Server=,LogicalOnly=1", "Directory=/data/APP", "APP"),
		outsideInAction("CreateDatabase:Name=APP,Directory=/external/APP,StreamLocation=/data/APP", "StreamLocation=/data/APP", "APP"),
		outsideInAction("CreateDatabase:Name=M,Directory=/data/M,MirrorSetName=S,MirrorDBName=M", "Directory=/data/M", "M"),
		outsideInAction(`CreateDatabase:Directory="/data/APP",Name="APP"`, "Directory=/data/APP", "APP"),
		outsideInAction("CreateDatabase: Name = APP , DIRECTORY = /data/APP ", "DIRECTORY=/data/APP", "APP"),
		outsideInAction(`CreateDatabase:Name=A"P,Directory=/data/APP,Size="1`, "Directory=/data/APP", "APP"),
		outsideInAction("CreateDatabase:Name=APP,Directory=/external/APP,Directory=/data/APP", "Directory=/data/APP", "APP"),
		outsideInAction("ModifyJournal:CurrentDirectory=/data/journal", "CurrentDirectory=/data/journal", "journal"),
		outsideInAction("ModifyConfig:ConsoleFile=/var/log/iris", "ConsoleFile=/var/log/iris", "iris"),
		outsideInAction("CreateComing:CopyDirectory=/data/copy", "CopyDirectory=/data/copy", "copy"),
		outsideInAction("ModifyJournal:Server=ECP1,LogicalOnly=1,CurrentDirectory=/data/journal", "CurrentDirectory=/data/journal", "journal"),
		outsideInAction("CreateComing:Directory=copy", "Directory=copy", "copy"),
	}
}

func ownedRefusals() []refusal {
	section := func(section, key, value, rest string) refusal {
		return refusal{cpfOf(section, key, value), fmt.Sprintf("iris.cpf.%s.%s: got %s", section, key, rest)}
	}
	action := func(line, rest string) refusal { return refusal{actionOf(line), "iris.actions[0]: got " + rest} }
	return []refusal{
		section("Startup", "DefaultPort", "51773", `"51773", want DefaultPort 1972, or none: `),
		section("startup", "DEFAULTPORT", "1973", `"1973", want DefaultPort 1972, or none: `),
		section("Startup", "DefaultPortBindAddress", "127.0.0.1", `"127.0.0.1", want no DefaultPortBindAddress`),
		section("Startup", "WebServerPort", "80", `"80", want WebServerPort 52773, or none: `),
		section("Journal", "FreezeOnError", "0", `"0", want FreezeOnError 1, or none`),
		section("Startup", `"DefaultPort"`, "1973", `"1973", want DefaultPort 1972`),
		section("Startup", "DefaultPort ; old", "1973", `"1973", want DefaultPort 1972`),
		section("config", "globals8kb", "500", "a value, want iris.globalsMiB"),
		action("ModifyConfig:globals=0,0,8192,0,0,0", "a value for globals, want iris.globalsMiB, so that the sum"),
		action("ModifyConfig:bbsiz=-1,globals8kb=8192", "a value for globals8kb, want iris.globalsMiB, so that the sum"),
		action("ModifyConfig:ROUTINES=1000", "a value for ROUTINES, want iris.routinesMiB"),
		action("ModifyConfig:gmheap=256000", "a value for gmheap, want iris.gmheapKiB"),
		action("ModifyConfig:jrnbufs=1000", "a value for jrnbufs, want iris.journalBuffersMiB"),
		action("ModifyMiscellaneous:SynchCommit=1", "a value for SynchCommit, want iris.synchronousCommit"),
		action("ModifyStartup:PasswordHash=ab,cd", "a value for PasswordHash, want the secret irisPassword"),
		action("ModifyStartup:SystemMode=TEST,WebServer=1", "a value for WebServer, want iris.webGateway.enabled"),
		action("ModifyStartup:DefaultPort=51773", `"DefaultPort=51773", want DefaultPort 1972`),
		action("ModifySystem:Name=SYSTEM,ConfigurationSecurity=1", `"ConfigurationSecurity=1", want no ConfigurationSecurity`),
		action(`ModifyUser:Name=_SYSTEM,PasswordHash="ab,cd"`, "a value for PasswordHash, want the secret irisPassword, which"),
		action("ModifyUser:PasswordHash=ab,cd,10000,SHA512,Name=superuser", "a value for PasswordHash, want the secret"),
		action("CreateUser:Name=Admin,Password=topsecret", "a password in clear, want the secret irisPassword"),
		action("ModifyUser:Name=_SYSTEM,ChangePassword=1", `"ChangePassword=1", want ChangePassword 0, or none`),
		action("ModifyUser:Name=Admin,PasswordNeverExpires=0", `"PasswordNeverExpires=0", want PasswordNeverExpires 1`),
		section("Coming", "SMTPPassword", "topsecret", "a password in clear, want none here"),
		action("CreateUser:Name=me,Password=topsecret", "a password in clear, want PasswordHash="),
		action(`CreateUser:Name=me, PASSWORD ="topsecret",Roles=%All`, "a password in clear, want PasswordHash="),
		action("ModifyUser:Name=me,PasswordExternal=topsecret", "a password in clear, want PasswordHash="),
		action("CreateSSLConfig:Name=x,PrivateKeyPassword=topsecret", "a password in clear, want none here"),
		action(`CreateLDAPConfig:Name=x,LDAPBaseDN="DC=a,DC=b",LDAPSearchPassword=topsecret`, "a password in clear, want none here"),
		action("CreateOAuth2Client:ApplicationName=x,ClientSecret=topsecret", "a secret in clear, want none here"),
		action(`CreateWalletKeyValue:Name="c.s",Secret={"user":"me","password":"topsecret"}`, "a secret in clear, want none"),
		action("CreateWalletSymmetricKey:Name=c.s,Secret64=topsecret", "a secret in clear, want none here"),
		action("CreateWalletRSA:Name=c.s,PrivateKey=topsecret", "a secret in clear, want none here"),
		action("CreateOAuth2ServerDefinition:InitialAccessToken=topsecret", "a secret in clear, want none here"),
		section("SQL", "Comment", "topsecret /* open", `a text that is not shown`),
		section("SQL", "Comment", "1 /* open", `"1 /* open", want a value without '/*'`),
		{cpfOf("SQL", "// k", "v"), `iris.cpf.SQL: got "// k", want a key on one line`},
		{cpfOf("SQL", "Password=topsecret", "v"), `iris.cpf.SQL: got a text that is not shown`},
		{cpfOf("Mail", "Password", "topsecret\n"), `iris.cpf.Mail.Password: got a text that is not shown`},
		action("createUser:Name=me,Password=topsecret", "a text that is not shown, because it may hold a password, want one line"),
		action(`CreateNamespace:Name="APP,Globals=APP`, `"CreateNamespace:Name=\"APP,Globals=APP", want a line whose quotes`),
	}
}

func accessRefusals() []refusal {
	open := func(c *Config) {
		c.Service.Superserver, c.Metrics, c.MonitoringNamespace = true, Annotations, "monitoring"
	}
	action := func(line, rest string) refusal {
		return refusal{func(c *Config) { open(c); actionOf(line)(c) }, "iris.actions[0]: got " + rest}
	}
	return []refusal{
		action("ModifyService:Name=%Service_WebGateway,Enabled=0", `"Enabled=0", want 1: the portal`),
		action("ModifyService:Name=%service_csp,Enabled=No", `"Enabled=No", want 1: the portal`),
		action(`ModifyService:Enabled="0",Name="%Service_Bindings"`, `"Enabled=0", want 1: iris.service.superserver is true`),
		action("DeleteServer:Port=1972,BindAddress=", `"Delete=1", want this superserver left alone`),
		action("ModifyServer:Port=1972,BindAddress=,Enabled=0", `"Enabled=0", want 1: the web server reaches`),
		action("ModifyServer:Port=1972,EnableCSP=0", `"EnableCSP=0", want 1: the web server reaches`),
		action("ModifyServer:Port=1972,EnableClients=0", `"EnableClients=0", want 1: iris.service.superserver is true`),
		action("ModifyServer:Port=1972,SSLSupportLevel=2", `"SSLSupportLevel=2", want 0 or 1`),
		action("ModifySystem:Name=SYSTEM,SSLSuperServer=2", `"SSLSuperServer=2", want 0 or 1`),
		action("ModifySystem:Name=SYSTEM,AutheEnabled=64", `"AutheEnabled=64", want AutheEnabled with 32 among its bits`),
		action("ModifyUser:Name=CSPSystem,Enabled=0", `"Enabled=0", want 1: the web server logs in as CSPSystem`),
		action("DeleteUser:Name=CSPSystem", "DeleteUser for CSPSystem, want this account left alone"),
		action("DeleteUser:cspsystem", "DeleteUser for CSPSystem, want this account left alone"),
		action("ModifyApplication:Name=/api/monitor,Enabled=0", `"Enabled=0", want 1: iris.metrics is annotations`),
		action("DeleteApplication:/api/monitor/", `"Delete=1", want this application left alone: iris.metrics`),
		action("ModifyApplication:Name=/api/monitor,AutheEnabled=32", `"AutheEnabled=32", want AutheEnabled with 64 among its bits`),
	}
}
