package iris

import (
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"
)

func TestMerge_RefusesEachMistakeWithOneMessage(t *testing.T) {
	t.Parallel()
	for _, test := range refusals() {
		err := community(test.change).Validate()
		if err == nil || !strings.HasPrefix(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("got  %v\nwant %s", err, test.want)
		}
		if err != nil && strings.Contains(err.Error(), "topsecret") {
			t.Errorf("shows a secret: %v", err)
		}
	}
}

// TestMerge_AcceptsWhatPeopleWrite: lines as they stand in public merge files and in the vendor's documentation, with the
// directories on the volume.
func TestMerge_AcceptsWhatPeopleWrite(t *testing.T) {
	t.Parallel()
	for _, action := range slices.Concat(acceptedData(), acceptedAccess(), acceptedSettings()) {
		if err := community(actionOf(action)).Validate(); err != nil {
			t.Errorf("%s: %v", action, err)
		}
	}
	for section, settings := range acceptedSections() {
		if err := community(func(c *Config) { c.CPF = map[string]map[string]string{section: settings} }).Validate(); err != nil {
			t.Errorf("[%s]: %v", section, err)
		}
	}
}

// acceptedData are actions on databases, namespaces and mappings.
func acceptedData() []string {
	return []string{
		`CreateResource:Name=%DB_APP_DATA,Description="APP_DATA database"`,
		"CreateResource:Name=%DB_APP,PublicPermission=",
		"CreateDatabase:Name=APP_DATA,Directory=/external/iris/mgr/APP_DATA,Resource=%DB_APP_DATA",
		"CreateDatabase:Name=APP_CODE,Directory=/external/app/code/,ResourceName=%DB_APP_CODE,Size=5368,MaxSize=536871",
		`CreateDatabase:Name="APP",Directory="/external/my app",LogicalOnly=0,StreamLocation=""`,
		"CreateDatabase:Name=Customers,Directory=/IRIS/mgr/Customers,Server=Node1,LogicalOnly=1",
		"CreateDatabase:Name=C,Directory=/external/c,MirrorSetName=M,MirrorDBName=C,Seed=/mnt/databases/ExistingDB",
		"ModifyDatabase:Name=APP,Directory=/external/iris/mgr/APP,GlobalJournalState=3",
		"DeleteDatabase:Name=OLD,Directory=/usr/irissys/mgr/OLD",
		"DeleteDatabaseFile:Directory=/usr/irissys/mgr/OLD",
		"CreateNamespace:Name=APP,Globals=APP_DATA,Routines=APP_CODE,Interop=1",
		"CreateNamespace:Name=PASSWORDS,Globals=PASSWORDS",
		"ModifyNamespace:Name=APP,Globals=APP,Interop=1",
		`CreateMapGlobal:Name="global-name(1):(101)",Namespace=APP,Database=APP`,
		`CreateMapGlobal:Name=Tags("a"):("b"),Namespace=APP,Database=APP`,
		"CreateMapRoutine:Namespace=APP,Name=routine-spec,Database=APP",
	}
}

// acceptedAccess are actions on services, users, roles and applications.
func acceptedAccess() []string {
	return []string{
		"ModifyService:Name=%Service_CallIn,Enabled=1,AutheEnabled=48",
		"ModifyService:Name=%service_ecp,Enabled=1",
		"ModifyService:Name=%Service_ComPort,AutheEnabled=$$$AuthePassword+$$$AutheUnauthenticated",
		"ModifyService:Name=%Service_Telnet,Enabled=0",
		"ModifyService:Name=%Service_Bindings,Enabled=0", // iris.service.superserver is false.
		"ModifyService:Name=%Service_WebGateway,Enabled=1,ClientSystems=127.0.0.1",
		"ModifyUser:Name=SuperUser,ChangePassword=0,PasswordNeverExpires=1",
		"ModifyUser:Name=_SYSTEM,ChangePassword=0",
		"ModifyUser:Name=_SYSTEM,Enabled=0,Comment=disabled",
		"ModifyUser:Name=APP,NameSpace=APP,FullName=Application",
		"DeleteUser:Name=Admin",
		"CreateUser:Name=APP,NameSpace=APP,AccountNeverExpires=1,PasswordNeverExpires=1,Roles=%All,APP_ROLE,PasswordHash=ab,cd,10000,SHA512",
		`CreateUser:Name=app,ChangePassword=1,PasswordHash="ab, cd,10000,SHA512",Roles="%SQL,%DB_USER"`,
		"CreateRole:Name=APP_ROLE,Description=\"Role for APP\",Resources=%DB_APP_DATA:RW,%DB_APP_CODE:R",
		"GrantAdminPrivilege:Grantee=app,Namespace=USER,AdminPriv=%CREATE_TABLE,%ALTER_TABLE",
		`GrantPrivilege:ObjPriv="SELECT,INSERT",ObjList=*,Type=Table,User=app,Namespace=USER`,
		"CreateApplication:Name=/csp/app,NameSpace=APP,Path=/opt/app/web,ServeFiles=1,AutheEnabled=64,Recurse=1",
		"CreateApplication:Name=/agents,NameSpace=APP,WSGIAppLocation=/opt/agents,WSGIAppName=app.wsgi,Type=2,AutheEnabled=32,ChangePasswordPage=p.csp",
		"CreateApplication:Name=/app/api,NameSpace=APP,DispatchClass=App.REST,AutheEnabled=32,Enabled=1,MatchRoles=:APP_API",
		"ModifyApplication:Name=/csp/sys,Enabled=0",
		"ModifyApplication:Name=/api/monitor,Enabled=0", // iris.metrics is none.
	}
}

// acceptedSettings are the other actions.
func acceptedSettings() []string {
	return []string{
		"CreateSSLConfig:Name=client,CAFile=/opt/app/ca.pem,PrivateKeyFile=/opt/app/key.pem,Type=0",
		`CreateLDAPConfig:Name=L,LDAPBaseDN="DC=example,DC=com",LDAPFlags=$$$LDAPActiveDirectory+$$$LDAPEnabled`,
		`CreateOAuth2Server:SupportedScopes={"scope1":"description1","scope2":"description2"},IssuerEndpoint=https://localhost/x`,
		"DeleteOAuth2Server",
		"ConfigMirror:Name=M,Member=auto,Primary=auto,Map=\"primary,backup\",SSLDir=/opt/app/ssl/,ArbiterURL=arbiter:2188",
		"ImportLocale:FileName=/opt/app/locale.xml,Flags=7",
		"ModifyConfig:PythonRuntimeLibrary=/usr/lib/libpython3.12.so,PythonPath=/opt/app/python,locksiz=33554432",
		"ModifyConfig:wijdir=,ConsoleFile=/external/iris/mgr/messages.log",
		"ModifyJournal:FreezeOnError=1,DaysBeforePurge=3,CurrentDirectory=/external/journal/",
		"ModifyMiscellaneous:SwitchOSdir=1",
		"ModifyStartup:DefaultPort=1972,SystemMode=TEST,TempDirectory=Temp",
		"ModifySystem:Name=SYSTEM,PasswordPattern=8.128ANP,PasswordExpirationDays=90",
		"ModifySQL:DefaultSchema=app",
		"ModifySystem:Name=SYSTEM,AutheEnabled=$$$AuthePassword+$$$AutheOS",
		"ModifyLogging:Enabled=1,ChildProcessLaunchCommand=irislogd -f /external/iris/mgr/irislogd.log",
		"ModifyLogging:ChildProcessLaunchCommand=fluent-bit -f 5",
		"CreateServer:Port=1973,BindAddress=,SSLSupportLevel=2,Enabled=1",
		`Execute:Namespace="%SYS",ClassName=%SYSTEM.OBJ,MethodName="Load",Arg1="/opt/app/App.cls",Arg2="ck"`,
		"ConfigProduction:Namespace=APP,Path=/opt/app/production.xml,Name=App.Production,AutoStart=1",
	}
}

func acceptedSections() map[string]map[string]string {
	return map[string]map[string]string{
		"Startup": {
			"SystemMode": "TEST", "shutdowntimeout": "300", "EnsembleAutoStart": "1", "DefaultPort": "1972", "WebServerPort": "52773",
			"TempDirectory": "Temp", "DefaultPortBindAddress": "",
		},
		"config": {
			"locksiz": "33554432", "wijdir": "/external/wij/", "pijdir": "", "console": ",", "MaxServerConn": "64", "LibPath": "/opt/lib:/usr/lib",
		},
		"Journal": {
			"CurrentDirectory": "/external/journal1/", "AlternateDirectory": `"/external/iris/mgr/journal2"`, "FreezeOnError": "1",
			"JournalFilePrefix": "app",
		},
		"Databases": {
			"APP": "/external/iris/mgr/APP", "OTHER": "/external/other/,,1,,,", "FAR": "/usr/irissys/mgr/FAR,ECP1", "IRISTEMP": "/external/temp/",
		},
		"Archives":         {"S3": "s3,s3://bucket/journals/", "HOST": "rsync,backup:/journals/", "HERE": "rsync,/external/archive/"},
		"Namespaces":       {"PASSWORD": "APP", "DIRECTORY": "APP"},
		"Map.USER":         {"Global_Password*": "APP", "Global_WorkDir": "APP", `Global_Tags("a"):("b")`: "APP"},
		"SqlUserDatatypes": {"PASSWORD": "%Library.String(MAXLEN=128)"},
		"Miscellaneous":    {"SwitchOSdir": "1"},
		"SQL":              {"IdTrxFrom": "~ `!@#$%^&*()_+-=[]\\{}|;':\",./<>?"},
		"Gateways":         {"%Java Server": "Java,53272,%Gateway_Object"},
	}
}

// disguise writes a text in another letter case.
func disguise(random *rand.Rand, text string) string {
	return strings.Map(func(r rune) rune {
		if random.IntN(2) == 0 {
			return []rune(strings.ToUpper(string(r)))[0]
		}
		return []rune(strings.ToLower(string(r)))[0]
	}, text)
}

// wrapped puts quotes or spaces around a value.
func wrapped(random *rand.Rand, value string) string {
	return []string{value, " " + value, value + " ", `"` + value + `"`, ` "` + value + `"`}[random.IntN(5)]
}

// TestMerge_SectionsAndActionsAreOne: a setting is accepted in a section exactly when it is accepted as an action, in any
// letter case, with quotes and spaces.
func TestMerge_SectionsAndActionsAreOne(t *testing.T) {
	t.Parallel()
	settings := map[string][]string{
		"Startup": {
			"DefaultPort", "DefaultPortBindAddress", "WebServer", "WebServerPort", "PasswordHash", "TempDirectory", "SystemMode",
			"ShutdownTimeout", "EnsembleAutoStart", "SomePassword", "SomeDirectory",
		},
		"Journal": {"CurrentDirectory", "AlternateDirectory", "FreezeOnError", "JournalFilePrefix", "DaysBeforePurge"},
		"config": {
			"globals", "globals8kb", "routines", "gmheap", "jrnbufs", "wijdir", "pijdir", "ConsoleFile", "locksiz", "bbsiz", "PythonPath",
		},
		"Miscellaneous": {"SynchCommit", "SwitchOSdir", "Undefined"},
		"Coming":        {"Directory", "StreamLocation", "ClientSecret", "SSLDir"},
	}
	values := []string{
		"", "0", "1", "1972", "52773", "51773", "0,0,8192,0,0,0", "ab,cd,10000,SHA512", "APP", "Temp/x", "/usr/irissys/mgr/APP",
		"/external/iris/mgr/APP", "/external/x/", "/external", "/external/../usr", "/external/lost+found/x", `C:\x`, "127.0.0.1",
	}
	random := rand.New(rand.NewPCG(1, 2))
	refused := 0
	for section, keys := range settings {
		for _, key := range keys {
			for _, value := range values {
				section, key := disguise(random, section), disguise(random, key)
				inSection := community(cpfOf(section, key, wrapped(random, value))).Validate()
				action := fmt.Sprintf("Modify%s:%s%s=%s", section, []string{"", " "}[random.IntN(2)], key, wrapped(random, value))
				inAction := community(actionOf(action)).Validate()
				if (inSection == nil) != (inAction == nil) {
					t.Errorf("[%s] %s=%s: %v\n%s: %v", section, key, value, inSection, action, inAction)
				}
				if inSection != nil {
					refused++
				}
			}
		}
	}
	for _, value := range values {
		inSection := community(cpfOf("Databases", "APP", wrapped(random, value))).Validate()
		inAction := community(actionOf("CreateDatabase:Name=APP,Directory=" + wrapped(random, value))).Validate()
		// What follows a comma means something else in each of them.
		if !strings.Contains(value, ",") && (inSection == nil) != (inAction == nil) {
			t.Errorf("%q: %v, %v", value, inSection, inAction)
		}
	}
	if refused < 100 {
		t.Errorf("only %d settings are refused: this test compares nothing", refused)
	}
}

// FuzzMergePlaces: whatever directory is accepted, wherever it stands, is below the mount, and not the file system's.
func FuzzMergePlaces(f *testing.F) {
	for _, seed := range []string{
		"/usr/irissys/mgr/APP", "/external/APP", "/external/iris/../..", "/external//x", "/external/lost+found", "", `"/external/x"`,
		`"/external/a"b`, "/external/x,Directory=/y", "/external/x ", "/externalx", `/external/x","Directory=/y`, "//external/x", "/external/#",
		`00","","000`, ",A=", `",",0`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, directory string) {
		for where, change := range map[string]func(*Config){
			"database":  cpfOf("Databases", "APP", directory),
			"action":    actionOf("CreateDatabase:Name=APP,Directory=" + directory),
			"quoted":    actionOf(`CreateDatabase:Directory="` + strings.ReplaceAll(directory, `"`, `""`) + `",Name=APP`),
			"journal":   cpfOf("Journal", "CurrentDirectory", directory),
			"wij":       actionOf("ModifyConfig:wijdir=" + directory),
			"temporary": cpfOf("Startup", "TempDirectory", directory),
		} {
			if community(change).Validate() != nil {
				continue
			}
			// What remains of it for a reader that knows quotes, and lists in [Databases].
			text := directory
			if where == "database" {
				parts := strings.Split(text, ",")
				if len(parts) > 1 && strings.Trim(parts[1], ` "`) != "" {
					continue // Another machine's.
				}
				text = parts[0]
			}
			text = strings.TrimSpace(text)
			if where != "quoted" && len(text) > 1 && text[0] == '"' && text[len(text)-1] == '"' {
				text = text[1 : len(text)-1]
			}
			if where == "temporary" && !path.IsAbs(text) {
				text = "/external/iris/mgr/" + text
			}
			unquotedAction := where == "action" || where == "wij"
			if unquotedAction && strings.Contains(text, ",") {
				continue // Further properties, which FuzzMergeActions checks.
			}
			if text == "" && (where == "journal" || where == "wij" || where == "temporary") {
				continue // The default, which is on the volume.
			}
			clean := path.Clean(text)
			if !strings.HasPrefix(clean, "/external/") || strings.HasPrefix(clean+"/", "/external/lost+found/") {
				t.Errorf("%s: %q is accepted", where, directory)
			}
		}
	})
}
