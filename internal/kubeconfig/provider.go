package kubeconfig

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// ErrRenew means that a new token is needed from the identity provider, which this program must not request: many providers accept
// each refresh token once, and the new one would have to be written to the user's kubeconfig.
var ErrRenew = errors.New("the id-token in the kubeconfig has expired, and only kubectl may renew it")

// expiryMargin is client-go's, for differing clocks.
const expiryMargin = 10 * time.Second

// check finds what client-go, and so the Kubernetes provider, refuses later.
func (p *AuthProvider) check() error {
	switch {
	case p == nil:
		return nil
	case p.Name == "oidc" && (p.Config["idp-issuer-url"] == "" || p.Config["client-id"] == ""):
		return errors.New("auth-provider oidc needs idp-issuer-url and client-id")
	case p.Name == "oidc":
		return nil
	}
	instead := map[string]string{
		"azure": "kubelogin, a credential plugin, replaces it: kubelogin convert-kubeconfig",
		"gcp":   "gke-gcloud-auth-plugin, a credential plugin, replaces it: gcloud container clusters get-credentials CLUSTER",
	}[p.Name]
	if instead != "" {
		return fmt.Errorf("auth-provider %s was removed from Kubernetes; %s", p.Name, instead)
	}
	return fmt.Errorf("auth-provider %q does not exist; the only one left is oidc, and credential plugins (exec) replace the others", p.Name)
}

// idToken returns the token of an OpenID Connect provider while it is valid. It does not verify the token; the API
// server does.
func (p *AuthProvider) idToken(now time.Time) (string, error) {
	token := p.Config["id-token"]
	if token != "" {
		expires, err := expiryOf(token)
		if err != nil {
			return "", err
		}
		if now.Add(expiryMargin).Before(expires) {
			return token, nil
		}
	}
	if p.Config["refresh-token"] == "" {
		return "", errors.New("auth-provider oidc: the id-token has expired, and there is no refresh-token: log in again")
	}
	return "", ErrRenew
}

func expiryOf(token string) (time.Time, error) {
	invalid := errors.New("auth-provider oidc: the id-token is not a JSON web token")
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return time.Time{}, invalid
	}
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return time.Time{}, invalid
	}
	var content struct {
		Expires json.Number `json:"exp"`
	}
	if json.Unmarshal(claims, &content) != nil {
		return time.Time{}, invalid
	}
	if content.Expires == "" {
		return time.Time{}, nil // Never valid, as in client-go.
	}
	seconds, err := content.Expires.Float64() // Some providers write 1.7e9.
	if err != nil {
		return time.Time{}, invalid
	}
	return time.Unix(int64(seconds), 0), nil
}
