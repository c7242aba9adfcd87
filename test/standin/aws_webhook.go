package standin

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"time"
)

const (
	// podIdentityAddress is where a pod asks the Pod Identity agent of its node for credentials (EKS user guide, "Understand how EKS Pod Identity
	// works"). Nobody listens there in a test.
	podIdentityAddress = "http://169.254.170.23/v1/credentials"
	webhookDay         = 24 * time.Hour
)

// PodIdentityWebhook starts the part of EKS' control plane that gives a pod the role of its account, if it has one when the pod is made. It
// returns a MutatingWebhookConfiguration, as JSON, for an API server on this machine, and ends with the clouds. Of what EKS puts into the pod
// the variables are there; the volume with the token is not, because nothing reads it here.
func (c *Clouds) PodIdentityWebhook() ([]byte, error) {
	certificate, authority, err := loopbackCertificate()
	if err != nil {
		return nil, fmt.Errorf("make the webhook's certificate: %w", err)
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12})
	if err != nil {
		return nil, fmt.Errorf("listen for the webhook: %w", err)
	}
	server := &http.Server{Handler: http.HandlerFunc(c.admitPod), ReadHeaderTimeout: 10 * time.Second}
	c.serving.Go(func() {
		// Serve returns an error only for a listener that broke; the pods then lack what is looked for.
		_ = server.Serve(listener)
	})
	c.mu.Lock()
	c.webhooks = append(c.webhooks, server)
	c.mu.Unlock()
	return json.Marshal(map[string]any{
		"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
		"metadata": map[string]any{"name": "eks-pod-identity-webhook"},
		"webhooks": []any{map[string]any{
			"name": "pod-identity-webhook.amazonaws.com", "failurePolicy": "Ignore", "sideEffects": "None", "admissionReviewVersions": []any{"v1"},
			"clientConfig": map[string]any{"url": "https://" + listener.Addr().String(), "caBundle": authority},
			"rules": []any{map[string]any{
				"apiGroups": []any{""}, "apiVersions": []any{"v1"}, "resources": []any{"pods"}, "operations": []any{"CREATE"},
			}},
		}},
	})
}

// loopbackCertificate is one that signs itself, with what a client has to trust.
func loopbackCertificate() (certificate tls.Certificate, authority []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return certificate, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "eks-pod-identity-webhook"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(webhookDay), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return certificate, nil, err
	}
	authority = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed})
	return tls.Certificate{Certificate: [][]byte{signed}, PrivateKey: key}, authority, nil
}

// admissionReview is what is read of the API server's question.
type admissionReview struct {
	Request struct {
		UID       string `json:"uid"`
		Namespace string `json:"namespace"`
		Object    struct {
			Spec struct {
				ServiceAccountName string         `json:"serviceAccountName"`
				Containers         []podContainer `json:"containers"`
				InitContainers     []podContainer `json:"initContainers"`
			} `json:"spec"`
		} `json:"object"`
	} `json:"request"`
}

type podContainer struct {
	Env []map[string]any `json:"env"`
}

func (c *Clouds) admitPod(w http.ResponseWriter, r *http.Request) {
	var review admissionReview
	if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	spec := review.Request.Object.Spec
	response := map[string]any{"uid": review.Request.UID, "allowed": true}
	if c.hasPodIdentity(review.Request.Namespace, spec.ServiceAccountName) {
		var patch []any
		patch = append(patch, identityPatch("containers", spec.Containers)...)
		patch = append(patch, identityPatch("initContainers", spec.InitContainers)...)
		text, err := json.Marshal(patch)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		response["patchType"], response["patch"] = "JSONPatch", text // Bytes are base64 in JSON.
	}
	var answer bytes.Buffer
	if err := json.NewEncoder(&answer).Encode(map[string]any{
		"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response,
	}); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(answer.Bytes()) // The API server notices.
}

func (c *Clouds) hasPodIdentity(namespace, account string) bool {
	for _, one := range c.Resources(awsPodIdentity) {
		if one.Outputs["namespace"] == namespace && one.Outputs["serviceAccount"] == account {
			return true
		}
	}
	return false
}

// identityPatch adds the variables to each container of a list.
func identityPatch(list string, containers []podContainer) []any {
	var patch []any
	for i, container := range containers {
		path := fmt.Sprintf("/spec/%s/%d/env", list, i)
		if len(container.Env) == 0 {
			patch = append(patch, map[string]any{"op": "add", "path": path, "value": []any{}})
		}
		for _, variable := range [][2]string{
			{"AWS_CONTAINER_CREDENTIALS_FULL_URI", podIdentityAddress},
			{"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/var/run/secrets/pods.eks.amazonaws.com/serviceaccount/eks-pod-identity-token"},
		} {
			patch = append(patch, map[string]any{
				"op": "add", "path": path + "/-", "value": map[string]any{"name": variable[0], "value": variable[1]},
			})
		}
	}
	return patch
}
