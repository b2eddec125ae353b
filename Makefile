# SPDX-License-Identifier: Apache-2.0
#
# Works on a fresh Debian 12 with Go and make. "sudo" resets PATH, so Go is
# looked for where it is usually installed as well.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := build

GO := $(firstword $(shell command -v go 2>/dev/null) $(wildcard /usr/local/go/bin/go /usr/lib/go/bin/go /snap/bin/go))
export PATH := $(if $(GO),$(patsubst %/,%,$(dir $(GO))):)$(PATH):/usr/sbin:/sbin

# The revision is stamped by ldflags below. Go's own stamping asks git, which
# refuses a clone that belongs to somebody else, as under sudo.
export GOFLAGS := $(strip $(GOFLAGS) -buildvcs=false)

GIT      := git -c safe.directory='$(CURDIR)'
VERSION  ?= $(or $(shell $(GIT) describe --tags --match 'v[0-9]*' --dirty 2>/dev/null),devel)
REVISION ?= $(or $(shell $(GIT) rev-parse HEAD 2>/dev/null),unknown)
LDFLAGS  := -s -w -X main.version=$(VERSION) -X main.revision=$(REVISION)

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.1.4
VULNDB      ?= https://vuln.go.dev
PREFIX      ?= /usr/local
FUZZTIME    ?= 10s
FUZZ        ?= .

.PHONY: help build install uninstall packages bpf docs lint test test-kernels test-packages fuzz licences vuln reproducible demo bench soak forged clean go root

help: ## say what each target does
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

build: go ## build ./netprobe-xdp: static, without cgo (needs Go only)
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o netprobe-xdp ./cmd/netprobe-xdp

install: ## copy what make build built, with unit, manual and completions, below DESTDIR and PREFIX=/usr/local
	@[ -x netprobe-xdp ] || { echo "make: nothing to install yet: run make build first" >&2; exit 1; }
	@scripts/manual.sh netprobe-xdp build/manual
	@DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' scripts/install.sh netprobe-xdp build/manual

uninstall: ## remove what make install copied, but for configuration
	@DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' scripts/install.sh --remove

packages: go ## build/packages: a .deb and an archive for ARCHS='amd64 arm64', and SHA256SUMS
	@VERSION='$(VERSION)' REVISION='$(REVISION)' scripts/packages.sh $(ARCHS)

bpf: go ## rebuild the committed BPF objects from their C sources (needs clang-14)
	$(GO) generate ./bpf ./internal/lab

docs: go ## write docs/reference from the code; the tests hold them to it
	NETPROBE_WRITE_DOCS=1 $(GO) test -count=1 -run '^TestReference$$' ./cmd/netprobe-xdp ./internal/config ./internal/metrics

lint: go ## gofmt, go vet, staticcheck and shellcheck
	@bad=$$($$($(GO) env GOROOT)/bin/gofmt -l bpf cmd internal pkg); \
	if [ -n "$$bad" ]; then echo "lint: run gofmt -w on:" $$bad >&2; exit 1; fi
	$(GO) vet ./...
	$(GO) vet -tags kernels ./internal/truth
	$(GO) vet -tags packages ./internal/shipped
	$(GO) run $(STATICCHECK) ./...
	shellcheck .ci/run scripts/*.sh

# The tests mostly wait for what they sent, so half as many again run at once as
# there are CPUs. make lint vets, and more strictly.
test: go root ## install what the tests need (sudo), then run everything that decides
	scripts/setup.sh
	$(GO) test -race -count=1 -vet=off -parallel $$((3 * $$(nproc) / 2)) -timeout 14m $(TESTFLAGS) ./...

test-kernels: go ## boot Debian's Linux 6.1 and 6.12 under qemu and run there what needs them (sudo, for packages; eight minutes); KERNELS=6.12-arm64 chooses
	scripts/setup.sh kernels
	scripts/test-kernels.sh $(KERNELS)

test-packages: go root ## install, run, upgrade and remove the .deb in a new Debian root under a systemd of its own, and run the program for arm64 emulated (sudo, for packages; eight minutes)
	scripts/setup.sh packages
	$(GO) test -count=1 -v -timeout 30m -tags packages -run 'TestPackage(Installed|Arm64)' ./internal/shipped

fuzz: go root ## every fuzz target for FUZZTIME=10s each, two at once; FUZZ='Load|Parse' chooses
	scripts/fuzz.sh '$(FUZZTIME)' '$(FUZZ)'

licences: go ## show the licence of every module that is linked, and fail for one that does not fit
	@$(GO) test -count=1 -v -run TestLicences ./internal/supply | sed -nE 's/^ +licences_test.go:[0-9]+: //p; /FAIL/p'

vuln: go ## look our modules up among the known vulnerabilities at VULNDB
	@$(GO) run $(GOVULNCHECK) -db '$(VULNDB)' ./... || { code=$$?; \
	echo "make: govulncheck failed: it names what it found above, or $(VULNDB) cannot be reached from here; a mirror is named by VULNDB=URL" >&2; exit $$code; }

reproducible: go ## build twice, in different places, and compare the two byte by byte
	@scripts/reproducible.sh

demo: build ## build, then measure a small network of namespaces live (sudo; Ctrl-C removes it)
	@./netprobe-xdp demo $(DEMOFLAGS)

bench: go ## compare with zmap, masscan and fping side by side (sudo; installs them; ten minutes on a quiet machine)
	@scripts/setup.sh bench >&2
	@$(GO) run ./internal/bench $(BENCHFLAGS)

soak: go ## run for 72 minutes under load, reloads and link flaps, and compare with what was on the wire (sudo)
	@$(GO) run ./internal/soak $(SOAKFLAGS)

forged: go root ## send ten million forged replies at full rate: none may be accepted (sudo; a minute)
	NETPROBE_FORGED=10000000 $(GO) test -count=1 -v -run 'TestForgedFlood|TestGuessedErrors' ./internal/truth

clean: ## remove what was built
	rm -rf netprobe-xdp build

go:
	@[ -n "$(GO)" ] || { echo "make: no Go found in PATH or /usr/local/go/bin; install it from https://go.dev/dl (go.mod names the version)" >&2; exit 1; }

root:
	@[ "$$(id -u)" = 0 ] || { echo "make: the tests make network namespaces and load XDP programs: run sudo make test (what works without root: go test ./...)" >&2; exit 77; }
