# larder: `make build` gives bin/larder, `make check` the quick verification,
# `make test` everything.

GO          ?= go
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
VERSION     := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS     := -s -w -X github.com/larder-cache/larder/internal/config.version=$(VERSION)
UNIT        := ./cmd/... ./internal/...

.PHONY: help build run demo check format vet staticcheck generated race tools test robustness bench generate clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build bin/larder
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/larder ./cmd/larder

run: build ## build, install missing engines and clients, and serve
	@scripts/install-engines.sh
	@scripts/install-clients.sh
	bin/larder serve

demo: build ## tell the whole story from nothing, with real clients, and clean up
	@scripts/install-engines.sh
	@scripts/install-test-tools.sh
	LARDER_BINARY=$(CURDIR)/bin/larder $(GO) run ./test/demo

check: format vet staticcheck generated race ## formatting, analysis, house rules, unit tests with the race detector

format:
	@files=$$(git ls-files -z --cached --others --exclude-standard -- '*.go' | xargs -0 gofmt -l); \
	  if [ -n "$$files" ]; then echo "not gofmt'ed:"; echo "$$files"; exit 1; fi

vet:
	$(GO) vet ./...
	cd tools/awsgen && $(GO) vet ./...

staticcheck:
	$(GO) run $(STATICCHECK) ./...

generated: generate
	@changed=$$(git status --porcelain -- internal/aws/gen); \
	  if [ -n "$$changed" ]; then echo "generated files differ from what is committed:"; echo "$$changed"; exit 1; fi

race:
	$(GO) test -race -short $(UNIT)
	cd tools/awsgen && $(GO) test ./...

tools:
	@scripts/install-engines.sh
	@scripts/install-test-tools.sh

test: tools check ## install what is missing, check, then run every test
	$(GO) test -timeout 20m ./...

robustness: build ## faults and changes at once, for two minutes in each fabric at each of five seeds
	@scripts/install-engines.sh
	LARDER_BINARY=$(CURDIR)/bin/larder LARDER_ROBUSTNESS_TIME=2m $(GO) test -count=5 -timeout 60m -v -run TestRobustness ./test/robustness

bench: build ## measure against bare engines in the same run
	@scripts/install-engines.sh
	LARDER_BINARY=$(CURDIR)/bin/larder $(GO) run ./test/bench

generate: ## regenerate internal/aws/gen from the service models
	$(GO) generate ./internal/aws/...

clean: ## remove what was built
	rm -rf bin
