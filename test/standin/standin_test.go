package standin

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

func TestWhatIsNotModelled_IsRefused(t *testing.T) {
	t.Parallel()
	e := newAWS(t, Options{})
	_, err := e.check("aws:s3/bucket:Bucket", "bucket", nil, nil)
	refused(t, err, "does not know the resource type aws:s3/bucket:Bucket")
	_, err = e.invoke("aws:s3/getBucket:getBucket", nil)
	refused(t, err, "does not know the function aws:s3/getBucket:getBucket")
	_, err = e.client.Create(t.Context(), &pulumirpc.CreateRequest{Urn: urnOf(gcpCluster, "c"), Preview: true})
	refused(t, err, "does not know the resource type "+gcpCluster)
	_, err = Start(t.Context(), Options{Packages: []string{"aws", "oracle"}, Kubeconfig: kubeconfigOf("https://x")})
	refused(t, err, `package "oracle": want one of aws, azure-native, gcp`)
}

func TestARefusedCall_ChangesNothing(t *testing.T) {
	t.Parallel()
	e := newAWS(t, Options{})
	e.clouds.FailNext(awsVpc, Create, Refused(errors.New("quota")))
	e.previewOfCreate(awsVpc, "vpc", fields{"cidrBlock": "10.0.0.0/16"}) // Does not use the fault up.
	_, err := e.try(awsVpc, "vpc", fields{"cidrBlock": "10.0.0.0/16"})
	refused(t, err, "quota")
	if got := e.clouds.Resources(); len(got) > 0 {
		t.Errorf("got %v, want nothing", got)
	}
	vpc := e.create(awsVpc, "vpc", fields{"cidrBlock": "10.0.0.0/16"}) // Once only.
	e.clouds.FailNext(awsVpc, Delete, Refused(errors.New("busy")))
	refused(t, e.remove(vpc), "busy")
	e.must(e.remove(vpc))
	if failed := e.clouds.Journal().Failed(); len(failed) != 2 {
		t.Errorf("the journal has %d failures, want 2: %v", len(failed), failed)
	}
}

// The engine learns the id of what exists but is not in order, and none of what the cloud decided.
func TestAPartialFailure_TellsTheEngineWhatExists(t *testing.T) {
	t.Parallel()
	s := newCluster(t, Options{})
	s.clouds.FailNext(awsNodeGroup+"::group", Create, Partial(errors.New("timeout")))
	_, err := s.try(awsNodeGroup, "group", s.groupInputs())
	var partial *pulumirpc.ErrorResourceInitFailed
	for _, detail := range status.Convert(err).Details() {
		partial, _ = detail.(*pulumirpc.ErrorResourceInitFailed)
	}
	if partial == nil || !strings.HasPrefix(partial.GetId(), s.cluster.id+":") || partial.GetReasons()[0] != "timeout" {
		t.Fatalf("got %v, want the id and the reason", err)
	}
	known, err := unmarshal(partial.GetProperties())
	s.must(err)
	if f := toFields(known); !f.has("clusterName") || f.has("arn") {
		t.Errorf("got %v, want the inputs alone", f)
	}
	group := &managed{typ: awsNodeGroup, name: "group", id: partial.GetId(), inputs: known, outputs: known}
	s.must(s.update(group, nil))
	if !group.out().has("arn") {
		t.Error("after the update that makes up for it, the arn is still unknown")
	}
}

func TestALostAnswer_LeavesAResourceNobodyKnows(t *testing.T) {
	t.Parallel()
	e := newAWS(t, Options{})
	e.clouds.FailNext(awsRole, Create, Lost(errors.New("connection reset")))
	inputs := fields{"name": "mine", "assumeRolePolicy": "{}"}
	_, err := e.try(awsRole, "role", inputs)
	refused(t, err, "connection reset")
	_, err = e.try(awsRole, "role", inputs)
	refused(t, err, "EntityAlreadyExists")
	e.must(e.clouds.Remove(awsRole, "mine"))
	e.create(awsRole, "role", inputs)
	refused(t, e.clouds.Remove(awsRole, "other"), "does not exist")
}

func TestAFault_WaitsForItsResource(t *testing.T) {
	t.Parallel()
	e := newAWS(t, Options{})
	e.clouds.FailNext(awsVpc+"::second", Create, Refused(errors.New("no")))
	e.create(awsVpc, "first", fields{"cidrBlock": "10.0.0.0/16"})
	if got := e.clouds.PendingFaults(); len(got) != 1 || got[0] != "create of aws:ec2/vpc:Vpc::second" {
		t.Errorf("got pending faults %q, want the one", got)
	}
	_, err := e.try(awsVpc, "second", fields{"cidrBlock": "10.1.0.0/16"})
	refused(t, err, "no")
	if got := e.clouds.PendingFaults(); len(got) > 0 {
		t.Errorf("got pending faults %q, want none", got)
	}
}

// Whoever does not wait for a slow resource does not find it.
func TestADelayedResource_IsNotThereYet(t *testing.T) {
	t.Parallel()
	s := &awsStack{engine: newAWS(t, Options{})}
	s.identity()
	s.clouds.Delay(awsRole+"::slow", Create, time.Hour)
	done := make(chan error)
	go func() {
		_, err := s.client.Create(t.Context(), &pulumirpc.CreateRequest{Urn: urnOf(awsRole, "slow")})
		done <- err
	}()
	eventually(t, "the slow create to begin", func() bool {
		return slices.ContainsFunc(s.clouds.Journal(), func(e Entry) bool { return e.Name == "slow" })
	})
	_, err := s.try(awsRolePolicy, "early", fields{"role": "slow", "policyArn": "arn:aws:iam::aws:policy/AmazonEKS_CNI_Policy"})
	refused(t, err, "cannot be found")
	_, err = s.client.Cancel(t.Context(), &emptypb.Empty{})
	s.must(err)
	refused(t, <-done, "canceled")
	s.clouds.Delay(awsRole+"::slow", Create, 0)
	s.create(awsRole, "slow", fields{"assumeRolePolicy": "{}"})
}

func TestTheJournal_TellsTheOrder(t *testing.T) {
	t.Parallel()
	s := newNodes(t, Options{})
	journal := s.clouds.Journal()
	s.must(journal.Ordered(Create, awsVpc, awsSubnet, awsCluster, awsNodeGroup))
	refused(t, journal.Ordered(Create, awsNodeGroup, awsCluster), "was not over before")
	refused(t, journal.Ordered(Delete, awsNodeGroup), "no delete of")
	refused(t, journal.Ordered(Create, awsVpc, awsEip), "no create of")
	if got := journal.Done(Create, awsSubnet).Names(); len(got) != 3 || got[0] != "subnet-eu-west-1a" {
		t.Errorf("got subnets %q, want three in order", got)
	}
	s.clouds.ForgetJournal()
	if got := s.clouds.Journal(); len(got) > 0 {
		t.Errorf("got %v after forgetting", got)
	}
}

func TestOverlappingOperations_AreNotOrdered(t *testing.T) {
	t.Parallel()
	at := func(seconds int) time.Time { return time.Unix(int64(seconds), 0) }
	journal := Journal{
		{Op: Delete, Type: "a", Started: at(1), Ended: at(3)},
		{Op: Delete, Type: "b", Started: at(2), Ended: at(4)},
		{Op: Delete, Type: "c", Started: at(3), Ended: at(5)},
	}
	refused(t, journal.Ordered(Delete, "a", "b"), "was not over before")
	if err := journal.Ordered(Delete, "a", "c"); err != nil {
		t.Error(err)
	}
}

func TestMissingCredentialsShowWhereTheProvidersShowThem(t *testing.T) {
	t.Parallel()
	clouds := start(t, Options{})
	for pkg, early := range map[string]bool{AWS: true, GCP: true, Azure: false} {
		e := connect(t, clouds, pkg, nil)
		clouds.DenyCredentials(pkg, true)
		news, err := marshal(toProperties(fields{"region": "eu-west-1"}))
		e.must(err)
		checked, err := e.client.CheckConfig(t.Context(), &pulumirpc.CheckRequest{News: news})
		e.must(err)
		if got := len(checked.GetFailures()) > 0; got != early {
			t.Errorf("%s: refused when the configuration is checked: got %v, want %v", pkg, got, early)
		}
		_, err = e.client.Configure(t.Context(), &pulumirpc.ConfigureRequest{Args: news})
		if err == nil {
			t.Errorf("%s: configured without credentials", pkg)
		}
		clouds.DenyCredentials(pkg, false)
		_, err = e.client.Configure(t.Context(), &pulumirpc.ConfigureRequest{Args: news})
		e.must(err)
	}
	aws := connect(t, clouds, AWS, nil)
	clouds.DenyCredentials(AWS, true)
	news, err := marshal(toProperties(fields{"region": "eu-west-1", "skipCredentialsValidation": "true"}))
	aws.must(err)
	checked, err := aws.client.CheckConfig(t.Context(), &pulumirpc.CheckRequest{News: news})
	aws.must(err)
	if len(checked.GetFailures()) > 0 {
		t.Errorf("got %v although validation is off", checked.GetFailures())
	}
}

func TestAWS_NeedsARegion(t *testing.T) {
	t.Parallel()
	e := newAWS(t, Options{})
	checked, err := e.client.CheckConfig(t.Context(), &pulumirpc.CheckRequest{})
	e.must(err)
	if len(checked.GetFailures()) != 1 || checked.GetFailures()[0].GetProperty() != "region" {
		t.Errorf("got %v, want one failure about region", checked.GetFailures())
	}
}

func TestTheProtocol_IsThatOfTheRealProviders(t *testing.T) {
	t.Parallel()
	e := newAWS(t, Options{})
	hello, err := e.client.Handshake(t.Context(), &pulumirpc.ProviderHandshakeRequest{})
	e.must(err)
	if !hello.GetAcceptSecrets() || !hello.GetAcceptResources() {
		t.Errorf("got %v, want secrets and resources accepted", hello)
	}
	_, err = e.client.Attach(t.Context(), &pulumirpc.PluginAttach{})
	e.must(err)
	info, err := e.client.GetPluginInfo(t.Context(), &emptypb.Empty{})
	e.must(err)
	if info.GetVersion() != "6.83.0" {
		t.Errorf("got version %s, want the SDK's", info.GetVersion())
	}
}

func TestAnotherKubeconfig_ShowsWhenTheEngineReads(t *testing.T) {
	t.Parallel()
	s := newCluster(t, Options{})
	s.must(s.clouds.SetKubeconfig(kubeconfigOf("https://10.0.0.1:443")))
	if got := s.read(s.cluster).str("endpoint"); got != "https://10.0.0.1:443" {
		t.Errorf("got endpoint %s, want the new one", got)
	}
}

func TestAKubeconfig_HasToLeadSomewhere(t *testing.T) {
	t.Parallel()
	valid := string(kubeconfigOf("https://x"))
	for name, c := range map[string]struct{ content, want string }{
		"nothing":        {"", "current context"},
		"no kubeconfig":  {"]", "read kubeconfig"},
		"no encryption":  {strings.Replace(valid, "https://", "http://", 1), "want a server by https"},
		"no authority":   {strings.Replace(valid, "certificate-authority-data", "tls-server-name", 1), "certificate authority"},
		"no credentials": {strings.Replace(valid, "client-key-data", "username", 1), "want a user with a token"},
		"missing file":   {strings.Replace(valid, "client-key-data: S0VZ", "client-key: /no/such/file", 1), "embed files"},
	} {
		_, err := Start(t.Context(), Options{Kubeconfig: []byte(c.content)})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error with %q", name, err, c.want)
		}
	}
}

// run calls a command line tool as a kubeconfig's credential plugin is called.
func run(t *testing.T, clouds *Clouds, tool string, args ...string) (string, int) {
	t.Helper()
	command := exec.CommandContext(t.Context(), filepath.Join(clouds.options.CLIDir, tool), args...)
	command.Env = append(os.Environ(), clouds.Env()...)
	command.Env = append(command.Env, `KUBERNETES_EXEC_INFO={"apiVersion":"client.authentication.k8s.io/v1"}`)
	output, err := command.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(output), command.ProcessState.ExitCode()
}

func TestCommandLineTools_GiveCredentials(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for range 2 { // Installing again replaces the first.
		if err := InstallCLI(t.Context(), dir); err != nil {
			t.Fatal(err)
		}
	}
	clouds := start(t, Options{CLIDir: dir})
	token := []string{"eks", "get-token", "--cluster-name", "c", "--region", "eu-west-1"}
	output, code := run(t, clouds, "aws", token...)
	for _, want := range []string{`"clientCertificateData":"CERT"`, `"clientKeyData":"KEY"`, "client.authentication.k8s.io/v1\""} {
		if code != 0 || !strings.Contains(output, want) {
			t.Errorf("aws: got %d and %s, want %s", code, output, want)
		}
	}
	withToken := strings.NewReplacer("client-certificate-data: Q0VSVA==, client-key-data: S0VZ", "token: T0KEN")
	if err := clouds.SetKubeconfig([]byte(withToken.Replace(string(kubeconfigOf("https://x"))))); err != nil {
		t.Fatal(err)
	}
	output, _ = run(t, clouds, "gke-gcloud-auth-plugin", "--use_application_default_credentials")
	if !strings.Contains(output, `"token":"T0KEN"`) || strings.Contains(output, "clientKeyData") {
		t.Errorf("after rotation, got %s, want the token alone", output)
	}
	calls, err := clouds.CLICalls()
	if err != nil || len(calls) != 2 || calls[0].Tool != "aws" || !slices.Equal(calls[0].Args, token) {
		t.Errorf("got %v and %v, want the two calls", calls, err)
	}
}

func TestCommandLineTools_RefuseLikeTheVendors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := InstallCLI(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	clouds := start(t, Options{CLIDir: dir})
	for _, c := range []struct {
		tool string
		args []string
		code int
		want string
	}{
		{"aws", []string{"eks", "list-clusters"}, 252, "Invalid choice"},
		{"aws", []string{"eks", "get-token"}, 252, "--cluster-name"},
		{"aws", []string{"eks", "get-token", "--cluster-name"}, 252, "expected one argument"},
		{"aws", []string{"eks", "get-token", "--colour", "red"}, 252, "Unknown options: --colour"},
		{"gke-gcloud-auth-plugin", []string{"--colour"}, 1, "unknown flag: --colour"},
	} {
		if output, code := run(t, clouds, c.tool, c.args...); code != c.code || !strings.Contains(output, c.want) {
			t.Errorf("%s %q: got %d and %s, want %d and %s", c.tool, c.args, code, output, c.code, c.want)
		}
	}
	if err := clouds.RefuseCLI("Unable to locate credentials"); err != nil {
		t.Fatal(err)
	}
	for tool, want := range map[string]int{"aws": 253, "gke-gcloud-auth-plugin": 1} {
		args := map[string][]string{"aws": {"eks", "get-token", "--cluster-name", "c"}}[tool]
		if output, code := run(t, clouds, tool, args...); code != want || !strings.Contains(output, "Unable to locate") {
			t.Errorf("%s: got %d and %s, want %d and the refusal", tool, code, output, want)
		}
	}
	if err := clouds.RefuseCLI(""); err != nil {
		t.Fatal(err)
	}
	if output, code := run(t, clouds, "gke-gcloud-auth-plugin"); code != 0 {
		t.Errorf("got %d and %s after the refusal was lifted", code, output)
	}
}

func TestAnAnswer_IsValidForAsLongAsItIsTold(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := InstallCLI(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	clouds := start(t, Options{CLIDir: dir})
	if err := clouds.SetCLILifetime(-time.Hour); err != nil {
		t.Fatal(err)
	}
	output, _ := run(t, clouds, "gke-gcloud-auth-plugin")
	_, rest, _ := strings.Cut(output, `"expirationTimestamp":"`)
	expiry, err := time.Parse(time.RFC3339, rest[:len("2006-01-02T15:04:05Z")])
	if err != nil || !expiry.Before(time.Now()) {
		t.Errorf("got expiry %v and %v, want one in the past", expiry, err)
	}
}

// Credentials lie in files that nobody else may read and that go with the clouds.
func TestCredentials_AreNotLeftBehind(t *testing.T) {
	t.Parallel()
	clouds, err := Start(t.Context(), Options{Kubeconfig: kubeconfigOf("https://x")})
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(clouds.ticketFile())
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got %v and %v, want a file for its owner alone", info, err)
	}
	if err := clouds.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(clouds.ticketFile()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v after Close, want no file", err)
	}
}

func TestFields_AreReadAndWrittenByPath(t *testing.T) {
	t.Parallel()
	f := toFields(resource.NewPropertyMapFromMap(map[string]any{
		"a": map[string]any{"text": "x", "number": 3, "digits": "4", "flag": true, "list": []any{"p", 1, "q"}},
	}))
	f.set("b.c", unknown{})
	if f.str("a.text") != "x" || f.integer("a.number") != 3 || f.integer("a.digits") != 4 || !f.flag("a.flag") {
		t.Errorf("got %v", f)
	}
	if got := f.strs("a.list"); !slices.Equal(got, []string{"p", "q"}) {
		t.Errorf("got strings %q, want p and q", got)
	}
	if !f.has("b.c.d.e") || f.str("b.c.d") != "" {
		t.Error("below an unknown value, everything is unknown")
	}
	if f.has("a.text.more") || f.has("z") {
		t.Error("a string has no members, and z is not there")
	}
	back := toProperties(f)
	if !back["b"].ObjectValue()["c"].IsComputed() {
		t.Errorf("got %v, want a computed value", back["b"])
	}
}
