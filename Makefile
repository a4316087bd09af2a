# Everything a contributor or CI runs. `make help` lists it; docs/HACKING.md says when to run what.

GO ?= go
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0

# Results are never taken from the test cache: it does not see the weights, which lie outside the tree.
GOTEST := $(GO) test -count=1

PLATFORMS := linux/arm64 darwin/arm64 windows/amd64 js/wasm

.DEFAULT_GOAL := help
.SUFFIXES:
.PHONY: help test need try-weights weights lint asm unit race noasm amxemu invariants soak cross bench peers numeric-peers encoder-peers benchmarks vuln

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

# One after the other, and in this order, also under make -j: each uses all cores, and the cheap ones
# come first.
test: ## all checks: set-up, lint, asm, unit, race, noasm, amxemu, invariants, 20 s of soak, cross (what CI runs)
	@$(MAKE) --no-print-directory need
	@$(MAKE) --no-print-directory try-weights
	@for t in lint asm unit race noasm amxemu invariants "soak SOAK=20s" cross; do \
		echo "== make $$t"; \
		$(MAKE) --no-print-directory $$t || exit 1; \
	done
	@echo "== make test: all checks passed"

need:
	@missing=; \
	command -v $(GO) >/dev/null || missing="$$missing\n  go 1.26 or newer: https://go.dev/dl"; \
	command -v $$($(GO) env CC 2>/dev/null || echo gcc) >/dev/null || missing="$$missing\n  gcc, for the race detector and the emulator of AMX (Debian: apt-get install gcc libc6-dev)"; \
	command -v objdump >/dev/null || missing="$$missing\n  objdump, to disassemble instructions written as bytes (Debian: apt-get install binutils)"; \
	[ -z "$$missing" ] || { printf "make test needs what is missing here:$$missing\n" >&2; exit 1; }

# Without the weights the tests that need them skip; in CI they may not.
try-weights:
	@$(MAKE) --no-print-directory weights || { [ "$$CI" != true ] && echo "going on without: tests that need real weights are skipped"; }

weights: ## fetch the real model weights that tests use (110 MB, once) into the cache
	@$(GO) run ./internal/testmodel/fetch

lint: ## build, go vet, gofmt, staticcheck
	$(GO) build ./...
	$(GO) vet ./...
	@unformatted=$$("$$($(GO) env GOROOT)/bin/gofmt" -l .); [ -z "$$unformatted" ] || { echo "gofmt -w would change:"; echo "$$unformatted"; exit 1; }
	$(GO) run $(STATICCHECK) ./...

asm: ## the generators of the assembly: what they write is what is committed
	cd internal/asmgen && $(GO) vet ./... && $(GOTEST) ./...

unit: ## tests, slow quality gates included
	$(GOTEST) ./...

race: ## tests under the race detector
	CGO_ENABLED=1 $(GOTEST) -race ./...

noasm: ## tests with -tags noasm: plain Go only
	$(GOTEST) -tags noasm ./...

# Elsewhere there is no emulator to build, and nothing that it could run.
amxemu: ## AMX kernels on tiles in software, bit for bit against plain Go (linux/amd64)
	@[ "$$($(GO) env GOOS)/$$($(GO) env GOARCH)" = linux/amd64 ] || { echo "make amxemu: only on linux/amd64"; exit 0; }; set -x; \
	CGO_ENABLED=1 $(GO) vet -tags amxemu ./internal/... ./simd ./models/bert && \
	CGO_ENABLED=1 $(GOTEST) -tags amxemu ./internal/amxemu ./internal/peak && \
	CGO_ENABLED=1 $(GOTEST) -tags amxemu -run 'AMX|BF16|Gemm|Epilogue|Variants' ./simd && \
	CGO_ENABLED=1 $(GOTEST) -tags amxemu -run BF16 ./models/bert

invariants: ## tests of the engine with released memory poisoned
	$(GOTEST) -tags invariants $$($(GO) list ./... | grep -E '/(sched|kernel|graph|layers|steps)(/|$$)')

SOAK ?= 10m

soak: ## put the matrix products and then random pipelines under load, for 10 minutes each (SOAK=1h: that long)
	SOAK=$(SOAK) $(GOTEST) -timeout 0 -run '^TestStressAMX$$' -v ./simd
	SOAK=$(SOAK) CGO_ENABLED=1 $(GOTEST) -race -timeout 0 -run '^TestSoak$$' -v ./layers

cross: ## build everything for the other platforms
	@for p in $(PLATFORMS); do \
		echo "build $$p"; \
		GOOS=$${p%/*} GOARCH=$${p#*/} CGO_ENABLED=0 $(GO) build ./... || exit 1; \
	done

bench: ## run the benchmarks
	$(GO) test -run '^$$' -bench . -benchmem ./...

peers: ## vet and test bench/peers, a module of its own (needs its dependencies)
	cd bench/peers && $(GO) vet ./... && $(GOTEST) ./...

benchmarks: numeric-peers encoder-peers ## make the tables of docs/BENCHMARKS.md again, in some minutes on an idle machine
	$(GO) run ./bench/exec -write docs/BENCHMARKS.md
	$(GO) run ./bench/primitives -write docs/BENCHMARKS.md
	$(GO) run ./bench/models -write docs/BENCHMARKS.md
	cd bench/peers && $(GO) run . -write ../../docs/BENCHMARKS.md
	cd bench/peers && $(GO) run ./numeric -write ../../docs/BENCHMARKS.md
	@[ -d bench/peers/encoder/build/models ] || { echo "make benchmarks: left the encoder's peers out"; exit 0; }; set -x; \
	cd bench/peers && $(GO) run ./encoder -write ../../docs/BENCHMARKS.md -summary ../../README.md

numeric-peers: ## fetch and compile SimSIMD, USearch and oneDNN for the benchmarks (needs PyPI, g++, unzip)
	bench/peers/numeric/setup.sh

encoder-peers: weights ## install ONNX Runtime, OpenVINO and tokenizers and make their models, for the benchmarks (needs PyPI)
	@bench/peers/encoder/setup.sh || echo "make encoder-peers: they cannot be had here"

vuln: ## look the dependencies up in Go's vulnerability database (needs the internet)
	$(GO) run $(GOVULNCHECK) ./...
