package standin

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// As an API server does: by the configuration, with its certificate.
func TestEKS_GivesAPodTheRoleOfItsAccount(t *testing.T) {
	t.Parallel()
	clouds := start(t, Options{Packages: []string{AWS}})
	text, err := clouds.PodIdentityWebhook()
	if err != nil {
		t.Fatal(err)
	}
	var configuration struct {
		Webhooks []struct {
			ClientConfig struct {
				URL      string
				CABundle []byte
			}
		}
	}
	if err := json.Unmarshal(text, &configuration); err != nil || len(configuration.Webhooks) != 1 {
		t.Fatalf("%v: %s", err, text)
	}
	trusted, client := x509.NewCertPool(), configuration.Webhooks[0].ClientConfig
	if !trusted.AppendCertsFromPEM(client.CABundle) {
		t.Fatalf("no certificate: %s", client.CABundle)
	}
	caller := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12}}}
	ask := func(namespace, account string) string {
		question := `{"request":{"uid":"u-1","namespace":"` + namespace + `","object":{"spec":{"serviceAccountName":"` + account +
			`","initContainers":[{"env":[{"name":"A"}]}],"containers":[{},{"env":[{"name":"B"}]}]}}}}`
		answer, err := caller.Post(client.URL, "application/json", bytes.NewBufferString(question))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = answer.Body.Close() }()
		var review struct {
			Response struct {
				UID     string
				Allowed bool
				Patch   []byte
			}
		}
		if err := json.NewDecoder(answer.Body).Decode(&review); err != nil || !review.Response.Allowed || review.Response.UID != "u-1" {
			t.Fatalf("got %+v, %v", review, err)
		}
		return string(review.Response.Patch)
	}
	if patch := ask("longhorn-system", "longhorn-service-account"); patch != "" {
		t.Errorf("without an association: %s", patch)
	}
	association := map[string]any{"namespace": "longhorn-system", "serviceAccount": "longhorn-service-account"}
	if err := clouds.Add(awsPodIdentity, "a-1", association); err != nil {
		t.Fatal(err)
	}
	for _, other := range [][2]string{{"iris", "longhorn-service-account"}, {"longhorn-system", "default"}} {
		if patch := ask(other[0], other[1]); patch != "" {
			t.Errorf("%v: %s", other, patch)
		}
	}
	patch := ask("longhorn-system", "longhorn-service-account")
	if strings.Count(patch, "AWS_CONTAINER_CREDENTIALS_FULL_URI") != 3 || strings.Count(patch, `"value":[]`) != 1 ||
		!strings.Contains(patch, `"/spec/containers/0/env"`) || !strings.Contains(patch, `"/spec/initContainers/0/env/-"`) {
		t.Errorf("the patch is %s", patch)
	}
}
