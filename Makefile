SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PY := $(BIN)/python
TEST_WORKERS ?= 4
STAMP := $(VENV)/.local-installed
DEV_STAMP := $(VENV)/.dev-installed
BENCH_STAMP := $(VENV)/.bench-installed
export PYTHONDONTWRITEBYTECODE := 1
.DEFAULT_GOAL := help
.NOTPARALLEL: # one pip at a time
.PHONY: help setup up down status logs env demo fresh test test-peers screenshots lint proto migrate topics schema docs lock clean bench-incidents bench-correlation demo-sweep bench-signatures soak-ingest bench-freshness bench-ingest fuzz-otlp cases bench-rca bench-quiet soak-outbox image-smoke

help: ## list the targets
	@grep -hE '^[a-z][a-z-]*:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-18s %s\n", $$1, $$2}'

setup: $(STAMP) ## install what the suite needs into .venv, at pinned and hashed versions

$(STAMP): requirements/pip.txt requirements/local.txt requirements/java.txt scripts/install_packages.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 7))' 2>/dev/null || { echo "setup: $(PYTHON) is not there or too old: install Python 3.11 to 3.14, or set PYTHON=<path>" >&2; exit 2; }
	@$(PYTHON) -m scripts.install_packages $(VENV) local
	@$(PY) -m scripts.warm_otlp
	@touch $@

$(DEV_STAMP): $(STAMP) requirements/dev.txt
	@$(PYTHON) -m scripts.install_packages $(VENV) dev
	@touch $@

$(BENCH_STAMP): $(STAMP) requirements/build.txt requirements/bench.txt
	@$(PYTHON) -m scripts.install_packages $(VENV) bench
	@touch $@

up: setup ## start the whole suite on this machine, without Docker
	@$(PY) -m infra.local up

down: setup ## stop it; data stays (WIPE=1 deletes it)
	@$(PY) -m infra.local down $(if $(WIPE),--wipe)

status: setup ## what runs, on which port, how much memory
	@$(PY) -m infra.local status

logs: setup ## the last log lines (PART=console for one part)
	@$(PY) -m infra.local logs $(PART)

env: setup ## export lines that point programs at the running stack
	@$(PY) -m infra.local env

demo: up ## an outage told end to end (DEMO_CAUSE=bad-deploy|slow-database|dead-dependency|cpu-starvation|none, DEMO_SEED=n)
	@eval "$$($(PY) -m infra.local env)" && $(PY) -m scripts.demo

fresh: ## the README's two commands in a bare Debian root, as a user and as root; needs root and mmdebstrap (ARGS=--help)
	@$(PYTHON) -m scripts.fresh $(ARGS)

demo-sweep: up ## the demo for SEEDS=n seeds of every cause, several at a time; counts what was right
	@eval "$$($(PY) -m infra.local env)" && $(PY) -m scripts.demo_sweep $(ARGS)

soak-ingest: setup ## kill consumers, broker and database under load, then compare every row (KILLS=50 SEED=1)
	@$(PY) -m scripts.soak_ingest --kills $(or $(KILLS),50) --seed $(or $(SEED),1) $(if $(RATE),--rate $(RATE))

bench-ingest: setup ## records per CPU-second of the telemetry consumers, as JSON lines (DATA=dir SEED=1 SECONDS=4)
	@$(PY) -m scripts.bench_ingest $(if $(DATA),--data $(DATA)) $(if $(SEED),--seed $(SEED)) $(if $(SECONDS),--seconds $(SECONDS))

fuzz-otlp: setup ## mutated messages through the compiled decoders and the reference (COUNT=200000 SEED=1)
	@$(PY) -m scripts.fuzz_otlp $(if $(COUNT),--count $(COUNT)) $(if $(SEED),--seed $(SEED))

cases: setup ## send small inputs that failed once through every door, and compare what came of them (DIR=dir)
	@$(PY) -m scripts.cases $(if $(DIR),--dir $(DIR))

bench-freshness: setup ## seconds from produce to queryable at 20 k records a second, as a JSON line
	@$(PY) -m scripts.bench_freshness $(if $(RATE),--rate $(RATE)) $(if $(SECONDS_TO_RUN),--seconds $(SECONDS_TO_RUN))

test: lint $(BENCH_STAMP) ## lint, then unit, contract, integration and end-to-end tests against real servers
	@$(PY) -m scripts.install_browser
	@$(PY) -m pytest tests -n $(TEST_WORKERS) --dist loadfile -m "not toolchains"

test-peers: $(DEV_STAMP) ## clients in Go, Node and Java on the local ClickHouse, and a real Collector; builds them, minutes the first time
	@$(PY) -m scripts.install_toolchains
	@$(PY) -m pytest tests/integration -m toolchains

screenshots: $(DEV_STAMP) ## take the README's pictures anew, by the browser tests
	@$(PY) -m scripts.install_browser
	@CONSOLE_SCREENSHOTS=tests/e2e/screenshots $(PY) -m pytest tests/e2e/test_console_browser.py -q -k pictures_of_the_readme

lint: $(DEV_STAMP) ## style, types, import rules, contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy libs services infra scripts tests
	@$(BIN)/lint-imports
	@$(BIN)/buf lint proto
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(PY) -m scripts.check_breaking
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(PY) -m scripts.generate_contracts --check
	@$(PY) -m scripts.generate_docs --check

bench-incidents: $(DEV_STAMP) ## latency and rate of incident writes, and how soon their events are on Kafka (ARGS="--rate 300")
	@$(PY) -m tests.bench.incidents $(ARGS)

bench-correlation: $(DEV_STAMP) ## seconds from an opened incident to its hypotheses in a large estate (ARGS="--services 500 --spans 10000000")
	@$(PY) -m tests.bench.correlation $(ARGS)

image-smoke: setup ## build the image without Docker, start docker-compose.yml from it, follow a span through (ARGS="--no-pull")
	@$(PY) -m scripts.image_smoke $(ARGS)

soak-outbox: setup ## kill relays and restart the broker KILLS=n times among writers; nothing lost, twice or out of order (SEED=n)
	@$(PY) -m scripts.soak_outbox --kills $(or $(KILLS),100) --seed $(or $(SEED),1) $(ARGS)

proto: $(DEV_STAMP) ## generate libs/contracts from proto/
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(PY) -m scripts.generate_contracts

migrate: setup ## bring the running stack's databases to this checkout's schema
	@eval "$$($(PY) -m infra.local env)" && $(PY) -m scripts.migrate

topics: setup ## create missing topics on the running stack
	@eval "$$($(PY) -m infra.local env)" && $(PY) -m scripts.create_topics

schema: setup ## write schema.sql from the running stack, freshly migrated
	@eval "$$($(PY) -m infra.local env)" && $(PY) -m scripts.dump_schema

docs: setup ## write the generated parts of the README
	@$(PY) -m scripts.generate_docs

bench-signatures: $(BENCH_STAMP) ## grouping accuracy of log signatures beside Drain3 (DATA=dir with labelled lines)
	@$(PY) -m scripts.bench_signatures $(if $(DATA),--data $(DATA))

bench-rca: setup ## rank the causes of recorded outages beside simple methods (DATA=dir, CACHE=dir, SEED=n)
	@$(PY) -m tests.bench.rca $(if $(DATA),--data $(DATA)) $(if $(CACHE),--cache $(CACHE)) $(if $(SEED),--seed $(SEED))

bench-quiet: setup ## false alarms of the anomaly detector on seeded traffic nothing is wrong with (SEED=n, ARGS="--services 20 --hours 24")
	@$(PY) -m tests.bench.quiet $(if $(SEED),--seed $(SEED)) $(ARGS)

lock: setup ## resolve pyproject.toml into hashed requirement files
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(PY) -m scripts.lock_requirements --upgrade

clean: ## stop everything and remove .venv, .local and caches
	@if [ -x $(PY) ]; then $(PY) -m infra.local down --wipe || true; fi
	@rm -rf $(VENV) .local .cache .mypy_cache .ruff_cache .pytest_cache .import_linter_cache build *.egg-info
