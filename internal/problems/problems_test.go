package problems_test

import (
	"errors"
	"testing"

	"ha-iris/internal/problems"
	"ha-iris/internal/secret"
)

func TestList_ShowsEveryProblemInOrder(t *testing.T) {
	t.Parallel()
	var found problems.List
	if found.Err() != nil {
		t.Fatal("an empty list must be no error")
	}
	found.Add("iris.size", "20", "a unit")
	found.Add("cluster.nodes", 2, "at least 3")
	found.Add("iris.ranges", []string{"a"}, "CIDRs")
	found.AddMissing("irisPassword", "a secret")
	found.Merge(errors.Join(errors.New("one"), errors.New("two")))
	found.Merge(nil)
	want := "iris.size: got \"20\", want a unit\n" +
		"cluster.nodes: got 2, want at least 3\n" +
		"iris.ranges: got [\"a\"], want CIDRs\n" +
		"irisPassword: got nothing, want a secret\none\ntwo"
	if got := found.Err().Error(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestList_NeverShowsASecret(t *testing.T) {
	t.Parallel()
	var found problems.List
	found.Add("irisPassword", secret.New("hunter2"), "another")
	if got := found.Err().Error(); got != "irisPassword: got [secret], want another" {
		t.Errorf("got %s", got)
	}
}

func TestHide_TakesTheValuesOutOfOneSection(t *testing.T) {
	t.Parallel()
	var found problems.List
	found.Add("storage.chart", "hunter2", "a chart")
	found.Add("storage.values.list[0]", 7, "a value")
	found.AddMissing("storage.version", "a version")
	found.Add("storageClass", "shown", "another")
	const hidden = "a value that is not shown, because a value of storage is secret"
	want := "storage.chart: got " + hidden + ", want a chart\nstorage.values.list[0]: got " + hidden + ", want a value\n" +
		"storage.version: got nothing, want a version\nstorageClass: got \"shown\", want another"
	if got := problems.Hide(found.Err(), "storage").Error(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if problems.Hide(nil, "storage") != nil {
		t.Error("no problem became one")
	}
}

func TestList_DoesNotShowThePastedContentOfAFile(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"-----BEGIN RSA PRIVATE KEY-----hunter2", "kind: Config\nusers:\n- user:\n    token: hunter2\n"} {
		var found problems.List
		found.Add("iris.tlsSecret", text, "a name")
		if got := found.Err().Error(); got != "iris.tlsSecret: got the content of a file, want a name" {
			t.Errorf("got %s", got)
		}
	}
}
