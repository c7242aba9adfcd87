package irisstandin

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

func TestSession_ArticlesCommands(t *testing.T) {
	b := newBox(t)
	b.start()
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	out, code := b.iris("set ^k8stest($i(^k8stest))=$zdt($h)_\" running on \"_$system.INetInfo.LocalHostName()\nzw ^k8stest\nhalt\n", "session", "iris")
	if code != 0 {
		t.Errorf("exit code %d", code)
	}
	wantContains(t, out, "USER>", "^k8stest=1\n", `^k8stest(1)="`+time.Now().Format("01/02/2006 15:"), ` running on `+host+`"`)
}

func TestSession_Language(t *testing.T) {
	b := newBox(t)
	b.start()
	for _, test := range [][2]string{
		{"write 2+3*4", "20"},
		{`write "a"_"b""c"`, `ab"c`},
		{"set x=5,y(1)=x write y(1)-.5", "4.5"},
		{"write $get(^nothing,7)", "7"},
		{"write ^nothing", "<UNDEFINED> ^nothing"},
		{"nonsense 1", "<SYNTAX>"},
		{"for i=1:1:3 set ^f(i)=i*i", ""},
		{"zw ^f", "^f(1)=1\n^f(2)=4\n^f(3)=9\n"},
		{`set ^o(10)="",^o(9)="",^o("a")="x y" zw ^o`, "^o(9)=\"\"\n^o(10)=\"\"\n^o(\"a\")=\"x y\"\n"},
		{`write $order(^o(9)),$order(^o("")),$data(^o)`, "10910"},
		{"kill ^f zw ^f", ""},
		{"write $length(4),$i(^c),$i(^c)", "112"},
		{`zn "%SYS" write $znspace`, "%SYS"},
		{`zn "NONE"`, "<NAMESPACE>"},
		{"tstart  set ^t=1 trollback  write $data(^t)", "0"},
		{"tstart  set ^t=1 tcommit  write ^t", "1"},
		{"if 1=2 write 8", ""},
		{"do ##class(No.Such).Method()", "<CLASS DOES NOT EXIST> *No.Such.Method"},
	} {
		line, want := test[0], test[1]
		out := b.run(line)
		_, out, _ = strings.Cut(out, "USER>")
		if out = out[:strings.LastIndex(out, "\n\n")+1]; strings.TrimSuffix(out, "\n") != strings.TrimSuffix(want, "\n") {
			t.Errorf("%s: got %q, want %q", line, out, want)
		}
	}
}

func TestSession_ExitCodes(t *testing.T) {
	b := newBox(t)
	if _, code := b.iris("", "session", "IRIS"); code != 1 {
		t.Errorf("of an instance that is down: %d", code)
	}
	b.start()
	for want, code := range map[int]string{0: "write ^nothing", 7: "do $system.Process.Terminate($job,7)"} {
		if _, got := b.iris("", "session", "IRIS", code); got != want {
			t.Errorf("%s: exit code %d, want %d", code, got, want)
		}
	}
	if _, code := b.iris("", "qlist", "other"); code == 0 {
		t.Error("an unknown instance was found")
	}
}

func TestLicense_CommunityHasEightConnections(t *testing.T) {
	b := newBox(t)
	b.start()
	for range communityConnections {
		conn, err := net.Dial("unix", b.dir+"/irissys/bin/irisdb.sock")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		_, _ = fmt.Fprintln(conn, `{"verb":"session"}`)
		if _, err := conn.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
	out, code := b.iris("", "session", "IRIS")
	if code != 1 || !strings.Contains(out, "<LICENSE LIMIT EXCEEDED>") {
		t.Errorf("%d: %s", code, out)
	}
	if status := b.field(4); !strings.HasPrefix(status, "running") {
		t.Error("qlist takes a licence")
	}
}

func TestQlist_Fields(t *testing.T) {
	b := newBox(t)
	b.start()
	for number, want := range map[int]string{
		1: "IRIS", 2: b.dir + "/irissys", 3: DefaultVersion, 5: "iris.cpf", 6: fmt.Sprint(b.super), 7: fmt.Sprint(b.web), 13: b.data(),
	} {
		if got := b.field(number); got != want {
			t.Errorf("field %d: %q, want %q", number, got, want)
		}
	}
	if err := os.Remove(b.data("mgr/iris.ids")); err != nil {
		t.Fatal(err)
	}
	if status := b.field(4); status != "running on node ? (iris.ids missing)" {
		t.Errorf("without ids: %q", status)
	}
	out, _ := b.iris("", "list")
	wantContains(t, out, "Configuration 'IRIS'", "directory:    "+b.dir+"/irissys", "status:       running")
}

func TestKeys_SortAndComeBack(t *testing.T) {
	subscripts := []string{"-5", "-.5", "0", ".25", "7", "70", "007", "A", "a"}
	last := ""
	for _, subscript := range subscripts {
		key := nodeKey("^x", []string{subscript, "1"})
		if key <= last {
			t.Errorf("%q is not behind the one before", subscript)
		}
		last = key
		if name, got := splitKey(key); name != "^x" || len(got) != 2 || got[0] != subscript || got[1] != "1" {
			t.Errorf("%q came back as %s%q", subscript, name, got)
		}
	}
}
