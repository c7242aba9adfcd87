# Common uses:
#   make up      a 3-node cluster on this machine (simulated nodes) with Longhorn's stand-in and IRIS on it
#   make test    every check that continuous integration runs
#   make down    destroys the stack and stops the cluster
# Needs Go, git and make. Everything is written below .local/, which git ignores; only Go's own caches lie elsewhere.

.DEFAULT_GOAL := help

LOCAL   := $(CURDIR)/.local
SANDBOX := $(LOCAL)/bin/sandbox

# The stack that up, preview and down work on, and the sandbox that belongs to it.
STACK ?= dev
# What runs on nodes, in pods and in continuous integration.
SCRIPTS := $(wildcard cluster/userdata/*.sh storage/nodeprep/*.sh) .ci/run
# Arguments for make pulumi.
ARGS ?= --help

export PATH := $(LOCAL)/bin:$(PATH)
export PULUMI_HOME := $(LOCAL)/pulumi
export PULUMI_BACKEND_URL := file://$(LOCAL)/state
# Protects nothing: the dev stack's only secret is the password of a database that lives on this machine.
export PULUMI_CONFIG_PASSPHRASE ?= ha-iris-dev
export PULUMI_SKIP_UPDATE_CHECK := true
# What the tools would otherwise keep in the home directory.
export KUBECACHEDIR := $(LOCAL)/cache/kube
export HELM_CACHE_HOME := $(LOCAL)/cache/helm
export HELM_CONFIG_HOME := $(LOCAL)/cache/helm
export HELM_DATA_HOME := $(LOCAL)/cache/helm
export GOLANGCI_LINT_CACHE := $(LOCAL)/cache/golangci-lint
# The engine's plugins leave files behind, copies of the kubeconfig among them. Not for tests: this is inside the checkout.
up preview down pulumi ci-preview: export TMPDIR := $(LOCAL)/tmp/$(STACK)
# Plugins come from make tools; a closed network must not be asked for them at every run.
export PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION := true

.PHONY: help
help: ## Lists the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z0-9-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: up
up: sandbox-up stack ## Brings the dev stack up on the sandbox and prints its outputs
	pulumi up --yes --stack $(STACK)
	@pulumi stack output --stack $(STACK)

.PHONY: preview
preview: sandbox-up stack ## Shows what up would change
	pulumi preview --diff --stack $(STACK)

.PHONY: down
down: sandbox-up stack ## Destroys the dev stack and stops and deletes the sandbox
	pulumi destroy --yes --stack $(STACK)
	pulumi stack rm --yes --preserve-config --stack $(STACK)
	$(SANDBOX) down --name $(STACK) --purge
	@rm -rf $(LOCAL)/tmp/$(STACK)

.PHONY: pulumi
pulumi: tools ## Runs the Pulumi CLI in the dev environment: make pulumi ARGS="stack output"
	@pulumi $(ARGS)

.PHONY: tools
tools: $(SANDBOX) ## Finds or builds the tools that up needs
	@$(SANDBOX) tools

.PHONY: sandbox-up
sandbox-up: tools ## Starts the 3-node cluster on this machine
	@$(SANDBOX) up --name $(STACK)

.PHONY: sandbox-down
sandbox-down: $(SANDBOX) ## Stops the cluster and keeps its data
	@$(SANDBOX) down --name $(STACK)

.PHONY: sandbox-status
sandbox-status: $(SANDBOX) ## Says what runs
	@$(SANDBOX) status --name $(STACK)

.PHONY: stack
stack: tools
	@mkdir -p $(LOCAL)/state
	@pulumi stack select --create $(STACK) >/dev/null

.PHONY: test
test: lint unit e2e ## Lint, unit and mock tests, and the end-to-end tests on a sandbox of their own

.PHONY: lint
lint: $(SANDBOX) ## Static checks
	@$(SANDBOX) tools lint
	golangci-lint run ./...
	cd sandbox && golangci-lint run --config ../.golangci.yaml ./...
	cd sandbox/tools/pulumi-language-go && golangci-lint run --config ../../../.golangci.yaml ./...
	go mod tidy -diff
	cd sandbox && go mod tidy -diff
	actionlint
	shfmt -d -i 2 $(SCRIPTS)
	@if command -v shellcheck >/dev/null; then shellcheck $(SCRIPTS); else \
		echo "shellcheck is not on this machine and cannot be built from a Go module; the runners of .github/workflows have it"; fi

.PHONY: unit
unit: ## Tests that need no tools
	go test ./...
	cd sandbox && go test ./...
	cd sandbox/tools/pulumi-language-go && go test ./...

.PHONY: e2e
e2e: tools ## The program on the real Pulumi engine, Kubernetes provider and API server
	cd sandbox && go test -tags sandbox -count=1 -timeout 10m ./test/...
	go test -tags e2e -count=1 -timeout 40m -v ./test/e2e/...

# The dev stack is unprotected on purpose, hence its allowance.
ENV ?= dev
.PHONY: ci-preview
ci-preview: ## Previews ENV as pull requests do and refuses what exposes or loses something
	@$(MAKE) --no-print-directory STACK=$(ENV) sandbox-up stack
	pulumi preview --json --show-sames --stack $(ENV) > $(LOCAL)/preview-$(ENV).json || { cat $(LOCAL)/preview-$(ENV).json; exit 1; }
	go run ./policy $(if $(filter dev,$(ENV)),--allow 'unprotected-data=urn:pulumi:dev::*') $(LOCAL)/preview-$(ENV).json

# Options for make bench.
BENCH ?=
.PHONY: bench
bench: tools ## Measures the cold build, and preview, up and destroy beside the engine's floor
	@go run ./test/bench $(BENCH)

# Always asked, because Go knows best whether anything changed; a second when nothing did.
.PHONY: $(SANDBOX)
$(SANDBOX):
	@mkdir -p $(LOCAL)/tmp/$(STACK)
	@cd sandbox && go build -o $@ .
