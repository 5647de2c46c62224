# Stowage. `make run` shows the main job, `make test` tests everything; both
# install what they need (Debian packages, as root).

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
GO    ?= go
# librbd's Go binding needs to know how old Debian 12's Ceph is.
CEPH  := ceph,pacific
STACK := devstack/stack
export STOWAGE_BIN := $(CURDIR)/bin/stowage

.DEFAULT_GOAL := help
.PHONY: help build build-ceph run check format lint unit test stack stack-down \
	bench bench-lvm soak sample clean

help: ## Show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## Build bin/stowage without Ceph (no headers needed)
	CGO_ENABLED=0 $(GO) build -o bin/stowage ./cmd/stowage

build-ceph: ## Build bin/stowage with Ceph (librbd-dev)
	$(GO) build -tags $(CEPH) -o bin/stowage ./cmd/stowage

run: build ## Start a Stowage of your own on 127.0.0.1:8785 and show it at work
	exec bin/stowage standalone --demo --data-dir ./var

check: format lint unit ## The quick part of the tests: no servers

format:
	@out=$$(gofmt -l . ); test -z "$$out" || { echo "gofmt would change: $$out"; exit 1; }

lint:
	$(GO) vet ./...
	$(GO) tool -modfile=internal/tools/go.mod staticcheck ./...
	$(GO) mod verify >/dev/null

# SQLite in Go works on raw memory as C does: the race detector's look at each of its
# pointers makes the tests take twice as long, and tells nothing of ours.
unit:
	$(GO) test -race -gcflags='modernc.org/...=-d=checkptr=0' -timeout 25m ./...

test: ## Everything: formats, lint, unit tests, the real stack, end to end, Tempest
	@.ci/test

stack: ## Bring up a real OpenStack with Stowage in it; prints how to use it
	$(STACK)/install
	$(MAKE) --no-print-directory build-ceph
	$(STACK)/up

stack-down: ## Stop the real stack (its data stays; $(STACK)/down --purge removes it)
	$(STACK)/down

bench: ## Measure the engine on the real stack, beside other programs
	bench/run

bench-lvm: ## Measure backups of LVM volumes, beside other ways to read them
	bench/lvm/run

SOAK ?= 10m
soak: ## Random histories on the real stack's Ceph, for SOAK=10m
	@test -n "$$STOWAGE_STACK_ENV" || { echo "set STOWAGE_STACK_ENV to the env file of a running stack (make stack)"; exit 1; }
	$(GO) test -tags stack,soak,$(CEPH) -timeout 0 -v ./internal/soak -args -soak $(SOAK)

sample: ## Write the sample files again after a change of options or rules
	$(GO) test ./internal/config -run Sample -update
	$(GO) run ./cmd/stowage policy sample >etc/stowage/policy.yaml.sample

clean: ## Remove what was built, and the data of make run
	rm -rf bin var
