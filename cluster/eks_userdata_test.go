package cluster

import (
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"strings"
	"testing"

	"ha-iris/internal/testkit"
)

func TestUserData_IsOneFlatMultipartMessage(t *testing.T) {
	t.Parallel()
	got, err := mimeUserData("#!/bin/bash\necho one\n", "#!/bin/bash\necho two\n")
	if err != nil {
		t.Fatal(err)
	}
	testkit.Golden(t, "userdata.mime", got)
}

// The node's own parser is cloud-init's, Python's e-mail package; Go's is as strict.
func TestUserData_GivesTheScriptBackUnchanged(t *testing.T) {
	t.Parallel()
	userData, err := eksUserData()
	if err != nil {
		t.Fatal(err)
	}
	message, err := mail.ReadMessage(strings.NewReader(userData))
	if err != nil {
		t.Fatal(err)
	}
	mediaType, parameters, err := mime.ParseMediaType(message.Header.Get("Content-Type"))
	if err != nil || mediaType != "multipart/mixed" {
		t.Fatalf("got %q, %v", mediaType, err)
	}
	parts := multipart.NewReader(message.Body, parameters["boundary"])
	part, err := parts.NextPart()
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(part)
	if err != nil {
		t.Fatal(err)
	}
	if string(content) != eksNodeScript {
		t.Errorf("the script comes out as\n%s", content)
	}
	if _, err := parts.NextPart(); !errors.Is(err, io.EOF) {
		t.Errorf("want one part, got another or %v", err)
	}
}

func TestUserData_FitsBesideTheOneOfEKS(t *testing.T) {
	t.Parallel()
	userData, err := eksUserData()
	if err != nil {
		t.Fatal(err)
	}
	// EC2 takes 16 KiB, of which EKS's own part needs about 2.
	if len(userData) > 12<<10 {
		t.Errorf("%d bytes", len(userData))
	}
	for i, character := range userData {
		if character > 127 || character == '\r' {
			t.Fatalf("byte %d is %q: the part says us-ascii, and bash wants no carriage returns", i, character)
		}
	}
}

func TestUserData_RefusesItsOwnBoundary(t *testing.T) {
	t.Parallel()
	if _, err := mimeUserData("echo " + mimeBoundary); err == nil {
		t.Error("accepted")
	}
}
