# Everything a developer runs. `make` alone lists it.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

CARGO ?= cargo
INSTALL := tests/lab/install.sh
# cargo-nextest and cargo-deny may live in the laboratory's cache.
export PATH := $(shell bash $(INSTALL) --where)/tools/bin:$(PATH)
TARGET := $(or $(CARGO_TARGET_DIR),target)
LAB := $(CARGO) run --quiet --package standbywatch-lab --bin
# What was just built, as it lies there: cargo would build it again with other features.
BUILT := $(TARGET)/debug

.PHONY: help test truth demo demo-fault demo-repair bench compare soak chaos docs docs-check fmt lint deny

help: ## list these targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

test: ## install what is missing, build, run every test
	@bash $(INSTALL) --tools --versions
	@$(CARGO) test --quiet --workspace --all-features --doc
	@$(CARGO) nextest run --workspace --all-features

truth: ## play the table of truth and print docs/truth.md from what it measured
	@bash $(INSTALL) --tools --versions
	@rm -rf '$(TARGET)/tmp/truth'
	@$(CARGO) nextest run --package standbywatch --all-features --test truth --test truth_on_18 --test agents --test alerting
	@$(LAB) lab-truth -- '$(TARGET)/tmp/truth' >'$(TARGET)/truth.md'
	@mv '$(TARGET)/truth.md' docs/truth.md

demo: ## a real pair with the agent, Prometheus and Alertmanager, until Ctrl-C (TOPOLOGY=agents: an agent on each node)
	@bash $(INSTALL)
	@$(CARGO) build --package standbywatch --package standbywatch-lab --bins
	@exec '$(BUILT)/lab-demo' start $(TOPOLOGY)

demo-fault: ## break the running demo: make demo-fault FAULT=cable-cut
	@'$(BUILT)/lab-demo' fault $(if $(FAULT),'$(FAULT)')

demo-repair: ## put the running demo right again
	@'$(BUILT)/lab-demo' repair

bench: ## memory, CPU and scrape times beside the ordinary exporters, also into docs/bench.md (BENCH_MINUTES=10)
	@bash $(INSTALL) --bench
	@$(CARGO) build --release --package standbywatch --package standbywatch-lab --bins
	@env -u BENCH_ONLY $(CARGO) run --quiet --release --package standbywatch-lab --bin lab-bench -- '$(TARGET)/bench.md'
	@{ cat '$(TARGET)/bench.md'; echo; $(CARGO) bench --quiet --bench derive; } >'$(TARGET)/bench-whole.md'
	@tail -n +2 '$(TARGET)/bench-whole.md' | sed -n '/^## One reading/,$$p'
	@mv '$(TARGET)/bench-whole.md' docs/bench.md

compare: ## what the usual formula says of a broken pair, beside what the agent says
	@bash $(INSTALL) --bench
	@$(CARGO) build --package standbywatch --package standbywatch-lab --bins
	@'$(BUILT)/lab-compare'

soak: ## a pair under changing load with no fault: no alert, no growth, a quiet log (SOAK_MINUTES=10)
	@bash $(INSTALL)
	@$(CARGO) build --package standbywatch --package standbywatch-lab --bins
	@'$(BUILT)/lab-soak' $(SOAK_MINUTES)

chaos: ## random courses of faults, and an oracle beside the agents (CHAOS_MINUTES=10 CHAOS_SEED=… CHAOS_OPTIONS=--agents)
	@bash $(INSTALL)
	@$(CARGO) build --package standbywatch --package standbywatch-lab --bins
	@'$(BUILT)/lab-chaos' $(if $(CHAOS_MINUTES),--minutes '$(CHAOS_MINUTES)') $(if $(CHAOS_SEED),--seed '$(CHAOS_SEED)') $(CHAOS_OPTIONS)

docs: ## print again the documents that come from the code
	@bash tests/print-docs.sh

docs-check: ## fail if a printed document differs from what the code says
	@if [ ! -e tests/print-docs.sh ]; then echo 'docs-check: no document is printed from the code yet'; exit 0; fi; \
	state() { git diff | git hash-object --stdin; git ls-files --others --exclude-standard; }; \
	before=$$(state); bash tests/print-docs.sh; \
	if [ "$$before" != "$$(state)" ]; then \
		git --no-pager diff; git status --short; echo 'docs-check: run `make docs` and commit what it prints' >&2; exit 1; \
	fi

fmt: ## format the code
	@$(CARGO) fmt --all

lint: ## formatting and clippy, as CI has them
	@$(CARGO) fmt --all --check
	@$(CARGO) clippy --workspace --all-targets --all-features -- -D warnings

deny: ## licenses, banned crates and sources of the dependencies
	@bash $(INSTALL) --tools
	@$(CARGO) deny --all-features check --hide-inclusion-graph bans licenses sources
