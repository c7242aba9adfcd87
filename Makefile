# Common uses:
#   make up      a 3-node cluster on this machine (simulated nodes) with Longhorn's stand-in and IRIS on it
#   make lab-up  the same on three real nodes, on Linux with root
#   make test    every check that continuous integration runs
#   make down    destroys the stack and stops the cluster
# Needs Go, git and make. Everything is written below .local/, which git ignores; only Go's own caches lie elsewhere.
# It works with GNU make 3.81, which is macOS's. What a shell happens to export does not reach what runs here where it could
# break it; what is meant for it stands behind make: make up PULUMI_K8S_ENABLE_PATCH_FORCE=true.

.DEFAULT_GOAL := help

# The stack that up, preview and down work on, and the sandbox that belongs to it.
STACK ?= dev
# The stack that ci-preview works on.
ENV ?= dev
# The lab is a sandbox whose nodes are real, with a stack of its own.
NODES :=
ifneq ($(filter lab-%,$(MAKECMDGOALS)),)
override STACK := lab
override NODES := --nodes real --snapshots
endif
ifneq ($(filter ci-preview,$(MAKECMDGOALS)),)
override STACK := $(ENV)
endif

# First the refusals: given such a directory or such a name, make and its shells would write, and remove, elsewhere.
hash := \#
unfit := ' " ` \ $$ : ; & | ( ) < > * ? [ ] { } % = ~ ! $(hash)
ifneq ($(words [$(CURDIR)])$(strip $(foreach c,$(unfit),$(findstring $(c),$(CURDIR)))),1)
$(error the checkout is in '$(CURDIR)': make cannot work with blanks and $(unfit) in that path. Move it elsewhere; nothing was written)
endif
ifeq ($(wildcard $(CURDIR)/sandbox/go.mod),)
$(error '$(CURDIR)' is no checkout of ha-iris: run make there, or make -C CHECKOUT; nothing was written)
endif
letters := a b c d e f g h i j k l m n o p q r s t u v w x y z 0 1 2 3 4 5 6 7 8 9
without = $(if $(1),$(call without,$(wordlist 2,99,$(1)),$(subst $(firstword $(1)),,$(2))),$(2))
ifneq ($(words $(STACK))$(call without,$(letters) -,$(STACK))$(filter -% %-,$(STACK)),1)
$(error the stack is '$(STACK)' (from the $(if $(filter ci-preview,$(MAKECMDGOALS)),$(origin ENV),$(origin STACK))): \
want lower-case letters, digits and inner hyphens, as in make up STACK=dev or make ci-preview ENV=dev; nothing was written)
endif
# What make agent-image publishes where is said behind make only: REPO=registry.example/NAME, the tag VERSION in place of git's name
# for the commit, and BASE in place of the base image in agent/.ko.yaml. A tag must not move, so changes have to be committed.
REPO :=
VERSION :=
BASE :=
ifneq ($(filter agent-image,$(MAKECMDGOALS)),)
unlike := $(call without,$(letters) . / _ - :,$(REPO))$(findstring :,$(notdir $(REPO)))$(if $(findstring /,$(REPO)),,no registry)
ifneq ($(words $(REPO))$(unlike),1)
$(error the repository is '$(REPO)': want that of a registry that you may push to, without a tag, as in \
make agent-image REPO=registry.example/ha-iris-agent; nothing was written)
endif
ifeq ($(VERSION),)
override VERSION := $(shell unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_PREFIX GIT_OBJECT_DIRECTORY GIT_COMMON_DIR; \
	test -z "$$(git status --porcelain -- agent 2>&1)" && git describe --always --tags --match 'v[0-9]*')
endif
comma := ,
ifneq ($(words $(VERSION))$(strip $(foreach c,$(unfit) $(comma) / @ +,$(findstring $(c),$(VERSION)))),1)
$(error the tag is '$(VERSION)': commit the changes in agent/, which names the tag after the commit, or give one that was never \
used, as in make agent-image VERSION=v1.2.3; nothing was written)
endif
endif
# Without its errors a down would go on to delete, and -e lets the environment overrule what is below. Versions differ in where
# MAKEFLAGS has the letters: in its first word without a dash, or behind one. Options with an argument are words of their own.
options := $(filter-out --% -C% -E% -I% -O% -W% -f% -j% -l% -o%,$(filter -%,-$(MAKEFLAGS) $(MAKEFLAGS)))
options := $(foreach word,$(options),$(if $(findstring =,$(word)),,$(word)))
ifneq ($(findstring i,$(options))$(findstring e,$(options)),)
$(error make got -i or -e (MAKEFLAGS is '$(MAKEFLAGS)'): errors must count here and the environment must not; nothing was written)
endif

LOCAL   := $(CURDIR)/.local
SANDBOX := $(LOCAL)/bin/sandbox
# What runs on nodes, in pods and in continuous integration.
SCRIPTS := $(wildcard cluster/userdata/*.sh storage/nodeprep/*.sh agent/internal/backup/*.sh) .ci/run .ci/released-agent
# Arguments for make pulumi and make drill.
ARGS := --help

# Taken out of what was exported: settings of Pulumi, Helm and Kubernetes for other clusters and stacks; a Go that is not the
# one on PATH; directories that cd would look into first; the repository of a git hook; options for the checks; what would make
# another image of the same sources.
foreign := PULUMI_% HELM_% KUBE% GOROOT GOEXPERIMENT CDPATH SHELLCHECK_OPTS GL_DEBUG KO_% KOCACHE SOURCE_DATE_EPOCH \
	GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_PREFIX GIT_OBJECT_DIRECTORY GIT_COMMON_DIR
unexport $(foreach name,$(filter $(foreign),$(.VARIABLES)),$(if $(filter environment,$(origin $(name))),$(name)))

export PATH := $(LOCAL)/bin:$(PATH)
export PULUMI_HOME := $(LOCAL)/pulumi
export PULUMI_BACKEND_URL := file://$(LOCAL)/state
export PULUMI_SKIP_UPDATE_CHECK := true
# Protects nothing: the only secret of the stacks dev and lab is the password of a database on this machine. Their files are
# encrypted with it, whatever is exported for others; a stack of yours keeps yours.
passphrase := PULUMI_CONFIG_PASSPHRASE PULUMI_CONFIG_PASSPHRASE_FILE
theirs := $(if $(filter dev lab,$(STACK)),,$(filter $(passphrase),$(.VARIABLES)))
ifeq ($(theirs),)
export PULUMI_CONFIG_PASSPHRASE := ha-iris-dev
else
export $(theirs)
endif
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

# Everything but help asks Go first, in a clean environment, whether it is there and new enough.
ifneq ($(filter-out help,$(MAKECMDGOALS)),)
GO := $(shell unset GOROOT GOEXPERIMENT; export GO111MODULE=on GOWORK=off; \
	command -v go >/dev/null || { echo there is no go command on PATH; exit; }; \
	answer=$$(GOFLAGS=-mod=readonly go list -m 2>&1) || { echo "$$answer"; exit; }; \
	echo found; go env GOHOSTOS GOHOSTARCH GOFLAGS)
ifneq ($(firstword $(GO)),found)
$(error this needs Go 1.26 or later: $(GO))
endif
ifneq ($(filter test e2e,$(MAKECMDGOALS)),)
ifeq ($(shell command -v git 2>/dev/null),)
$(error there is no git command on PATH: the end-to-end tests clone this repository)
endif
endif
# Built is for this machine and from go.mod: not for another system, from a vendor directory or in a workspace around it. Set,
# because go env -w would answer for what is empty. The user's stay GOPROXY, GOPRIVATE and their like, GOTOOLCHAIN, all
# directories, and of the flags those that change no result. No stamp: it fails where git distrusts the directory's owner.
export GOOS := $(word 2,$(GO))
export GOARCH := $(word 3,$(GO))
export GO111MODULE := on
export GOWORK := off
export GOFLAGS := -mod=readonly -buildvcs=false $(filter -p=% -modcacherw -modcacherw=%,$(GO))
# A 0 works wherever Go does; a 1 without a compiler fails, and Go knows which it has.
ifneq ($(CGO_ENABLED),0)
unexport CGO_ENABLED
endif
endif

# Where no target below has its own, a missing directory would be each tool's own error.
ifneq ($(filter-out help up preview down pulumi ci-preview,$(MAKECMDGOALS)),)
ifneq ($(shell test -z "$$TMPDIR" || test -d "$$TMPDIR" -a -w "$$TMPDIR" || echo missing),)
$(error TMPDIR is '$(TMPDIR)', where no directory is that can be written to: unset it, or make it)
endif
endif

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
	@rm -rf "$(LOCAL)/tmp/$(STACK)"

.PHONY: lab-up
lab-up: up ## As up, on three real nodes: containers, volumes, probes and node loss are real (Linux, root)

.PHONY: lab-down
lab-down: down ## As down, for the lab; nothing of it stays on the machine

.PHONY: lab-status
lab-status: sandbox-status ## Says what of the lab runs

# Most developers' machines cannot run real nodes; what then is not tested is said, with what is missing.
.PHONY: lab-test
lab-test: tools ## The lab's own tests, where real nodes can run
	@if $(SANDBOX) up --check --nodes real; then \
		$(SANDBOX) tools lab && cd sandbox && go test -tags sandbox -count=1 -timeout 10m -run '^TestLab' -v ./test; \
	elif test -n "$$SANDBOX_LAB_REQUIRED"; then \
		echo "SANDBOX_LAB_REQUIRED is set: the lab's tests must run here"; exit 1; \
	else \
		echo "NOT TESTED: real nodes (TestLab in sandbox/test), for what is said above"; \
	fi

# Apart from make test but for TestLab_Stack and TestLab_Drill: it loses machines, which takes minutes each time.
.PHONY: lab-e2e
lab-e2e: tools ## The program on real nodes that lose pods, processes, machines and networks; two to three hours (Linux, root)
	@$(SANDBOX) tools lab
	go test -tags e2e,lab -count=1 -timeout 5h -v -run '^TestLab' ./test/e2e

.PHONY: pulumi
pulumi: tools ## Runs the Pulumi CLI in the dev environment: make pulumi ARGS="stack output"
	@pulumi $(ARGS)

.PHONY: drill
drill: $(SANDBOX) ## Makes a fault on purpose and measures it: make drill ARGS="delete-pod --sandbox dev"
	@go run ./ops/drill $(ARGS)

# Of the stack that up has made here; for others the commands that README.md and docs/operations.md name.
backups := pulumi stack output kubeconfig --show-secrets --stack $(STACK) | go run ./ops/backup
.PHONY: backup
backup: tools ## Makes a backup of the database now and waits for it
	@$(backups) now -

.PHONY: backups
backups: tools ## Lists the database's backups
	@$(backups) list -

# The name is one of Kubernetes, or a URL; the shell must not read more out of it.
FROM :=
ifneq ($(filter restore-plan,$(MAKECMDGOALS)),)
ifneq ($(words [$(FROM)])$(strip $(foreach c,' " ` \ $$ ; | ( ) < > * [ ] { } ~ ! $(hash),$(findstring $(c),$(FROM)))),1)
$(error the backup is '$(FROM)': want its name or URL from make backups, as in make restore-plan FROM=NAME; nothing was done)
endif
endif
.PHONY: restore-plan
restore-plan: tools ## Prints what restores a backup: make restore-plan FROM=NAME, or the newest without it
	@$(backups) plan $(if $(FROM),--from '$(FROM)') -

# The recipe's shell and pulumi get the interrupt too; what counts is that the program outlives it until it has deleted its kubeconfig.
.PHONY: longhorn-ui
longhorn-ui: tools ## Opens Longhorn's UI, which has no login, on 127.0.0.1:9000 until Ctrl-C: make longhorn-ui STACK=dev
	@pulumi stack output kubeconfig --show-secrets --stack $(STACK) | go run ./ops/longhornui

.PHONY: tools
tools: $(SANDBOX) ## Finds, downloads or builds the tools that up needs
	@$(SANDBOX) tools

.PHONY: sandbox-up
sandbox-up: tools ## Starts the 3-node cluster on this machine
	@$(SANDBOX) up --name $(STACK) $(NODES)

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
	cd agent && golangci-lint run --config ../.golangci.yaml ./...
	cd sandbox/tools/pulumi-language-go && golangci-lint run --config ../../../.golangci.yaml ./...
	cd test/promql && golangci-lint run --config ../../.golangci.yaml ./...
	go mod tidy -diff
	cd sandbox && go mod tidy -diff
	cd agent && go mod tidy -diff
	cd test/promql && go mod tidy -diff
	actionlint
	shfmt -d -i 2 $(SCRIPTS)
	@if command -v shellcheck >/dev/null; then shellcheck $(SCRIPTS); else \
		echo "shellcheck is not on this machine and cannot be built from a Go module; the runners of .github/workflows have it"; fi

# The agent as its image is built, so that Go compiles its modules once. Go does not see that test/promql reads files of another module.
.PHONY: unit
unit: ## Tests that need no tools
	go test -timeout 30m ./...
	cd sandbox && go test ./...
	cd agent && CGO_ENABLED=0 go test -trimpath ./...
	cd sandbox/tools/pulumi-language-go && go test ./...
	cd test/promql && go test -count=1 ./...

# Of the tests on real nodes two run beside the others; they wait most of the time, too. lab-test has said what is not tested elsewhere.
.PHONY: e2e
e2e: tools ## The program on the real Pulumi engine, Kubernetes provider and API server
	cd sandbox && go test -tags sandbox -count=1 -timeout 10m -skip '^TestLab' ./test/...
	@$(MAKE) --no-print-directory lab-test
	@tags=e2e; ! $(SANDBOX) up --check --nodes real >/dev/null 2>&1 || tags=e2e,lab; \
	set -x; go test -json -tags $$tags -count=1 -timeout 75m -parallel 32 -skip '^TestLab_(Article|Clone|ConsistentBackups|CutOff|Guard|GuardInTrouble|LosesNodes|Restore|Snapshots|Upgrade|Verify)$$' ./test/e2e 2>&1 | go run ./test/failed

# The dev stack is unprotected on purpose, hence its allowance.
.PHONY: ci-preview
ci-preview: sandbox-up stack ## Previews ENV as pull requests do and refuses what exposes or loses something
	pulumi preview --json --show-sames --stack $(STACK) > $(LOCAL)/preview-$(STACK).json || { cat $(LOCAL)/preview-$(STACK).json; exit 1; }
	go run ./ops/policy $(if $(filter dev,$(STACK)),--allow 'unprotected-data=urn:pulumi:dev::*') $(LOCAL)/preview-$(STACK).json

# Without GOOS and GOARCH, which are this machine's and which ko refuses beside its platforms. The user is that of distroless
# images, whatever BASE has. Of a base for one platform ko makes an image for that one and says nothing.
.PHONY: agent-image
agent-image: $(SANDBOX) ## Builds the agent's image and pushes it, without Docker: make agent-image REPO=registry.example/NAME
	@$(SANDBOX) tools image
	@rm -rf "$(LOCAL)/agent-image" && mkdir -p "$(LOCAL)/agent-image"
	@cd agent && unset GOOS GOARCH && KO_DOCKER_REPO='$(REPO)' $(if $(BASE),KO_DEFAULTBASEIMAGE='$(BASE)') \
		ko build --bare --platform linux/amd64,linux/arm64 --image-user 65532:65532 --tags '$(VERSION)' \
		--sbom-dir "$(LOCAL)/agent-image/sbom" . >"$(LOCAL)/agent-image/reference"
	@for platform in amd64 arm64; do test -f "$$(ls "$(LOCAL)/agent-image/sbom/agent-linux-$$platform"* 2>/dev/null)" || \
		{ echo "the base image is not there for linux/$$platform: do not use what was pushed" >&2; exit 1; }; done
	@image=$$(cat "$(LOCAL)/agent-image/reference") && printf '%s\npulumi config set --path failover.image %s\n' "$$image" "$$image"

# Apart from make test: it builds ko and the agent twice, which takes minutes the first time.
.PHONY: agent-image-test
agent-image-test: $(SANDBOX) ## Builds the agent's image for a registry on this machine, and looks at it
	cd sandbox && go test -tags agentimage -count=1 -timeout 60m -run '^TestAgentImage_' -v ./test

# Options for make bench and make bench-failover.
BENCH :=
.PHONY: bench
bench: tools ## Measures the cold build, and preview, up and destroy beside the engine's floor
	@go run ./test/bench $(BENCH)

# It needs real nodes, and takes days unless it is given less to do.
.PHONY: bench-failover
bench-failover: tools ## Measures the article's set-up and this one side by side on real nodes: make bench-failover BENCH="--runs 1" (root)
	@go run ./ops/drill/bench $(BENCH)

# Always asked, because Go knows best whether anything changed; a second when nothing did.
.PHONY: $(SANDBOX)
$(SANDBOX):
	@mkdir -p $(LOCAL)/tmp/$(STACK)
	@cd sandbox && go build -o $@ .
