package secret_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"ha-iris/internal/secret"
)

func TestValue_IsNeverFormatted(t *testing.T) {
	t.Parallel()
	value := secret.New("hunter2")
	holder := struct{ Password secret.Value }{value}
	encoded, err := json.Marshal(holder)
	if err != nil {
		t.Fatalf("marshal: %v", err)
	}
	for _, shown := range []string{
		fmt.Sprint(value), fmt.Sprintf("%v", value), fmt.Sprintf("%+v", holder), fmt.Sprintf("%#v", holder),
		fmt.Sprintf("%q", value), fmt.Sprintf("%d", value), fmt.Sprintf("%x", value), string(encoded),
	} {
		if strings.Contains(shown, "hunter2") || !strings.Contains(shown, "[secret]") {
			t.Errorf("formatted as %q", shown)
		}
	}
	hidden := struct{ password secret.Value }{value}
	for _, shown := range []string{fmt.Sprint(hidden), fmt.Sprintf("%+v", hidden), fmt.Sprintf("%#v", hidden)} {
		if strings.Contains(shown, "hunter2") {
			t.Errorf("formatted in an unexported field as %q", shown)
		}
	}
	if value.Reveal() != "hunter2" || !value.IsSet() || (secret.Value{}).IsSet() {
		t.Error("the value itself must be available to those who ask for it")
	}
}
