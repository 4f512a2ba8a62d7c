# Rookery: `make up` trains what is not trained yet and serves it; `make test`, `check`, `bench`, `docs`, `clean`.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

VENV ?= .venv
BIN := $(VENV)/bin
HOST ?= 127.0.0.1
PORT ?= 8000
ROOKERY_HOME ?= .rookery
# Two test processes pay on two cores and more; WORKERS=0 runs the tests in one.
WORKERS ?= 2
PYTEST_FLAGS ?=
BENCH_FLAGS ?=

export ROOKERY_HOME

.PHONY: help up install install-dev lock test check format bench loadtest docs clean debian-bench

help:
	@echo "make up      install, train what is not trained yet, serve at http://$(HOST):$(PORT) (HOST, PORT, ROOKERY_HOME)"
	@echo "make test    the whole test suite, coverage of at least 90 %"
	@echo "make check   ruff, mypy --strict, import-linter, the tests of the house plan"
	@echo "make bench   throughput, CPU, start-up, memory and batches beside what a user would otherwise run"
	@echo "make loadtest  users on every service, without a window; LOADTEST_FLAGS, LOADTEST_WEIGHTS"
	@echo "make docs    the documentation as a static site in site/"
	@echo "make lock    write constraints.txt anew from the environment"
	@echo "make clean   remove caches and built files, never ROOKERY_HOME"

# --- the environment: installed again only when what it is made of has changed

$(BIN)/python:
	@python=$$(for name in "$${PYTHON:-python3}" python3.13 python3.12 python3.11; do \
	  if "$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then echo "$$name"; break; fi; done); \
	if [ -z "$$python" ]; then echo "No Python of 3.11 or later was found. Name one: make PYTHON=/path/to/python3.11" >&2; exit 1; fi; \
	"$$python" -m venv $(VENV) || { echo "venv failed. On Debian: apt-get install python3-venv" >&2; exit 1; }

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[train,images]'
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@ $(VENV)/.installed

install: $(VENV)/.installed

install-dev: $(VENV)/.installed-dev

# The newest versions that go together, of every extra, resolved in an environment of its own.
lock: | $(BIN)/python
	$(BIN)/python -m venv --clear build/lock
	build/lock/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@{ echo "# Versions that are tested together: pip install --constraint constraints.txt. Written by 'make lock'."; \
	  build/lock/bin/python -m pip freeze --disable-pip-version-check --exclude-editable; } > build/constraints.txt
	@mv build/constraints.txt constraints.txt && rm -rf build/lock

# --- running

up: install
	@missing=""; \
	for folder in services/*/; do \
	  name=$$(basename "$$folder"); \
	  if [ -f "$$folder/service.py" ] && [ ! -f "$(ROOKERY_HOME)/traffic/$$name.json" ]; then missing="$$missing $$name"; fi; \
	done; \
	if [ -n "$$missing" ]; then $(BIN)/rookery train $$missing; fi; \
	exec $(BIN)/rookery serve --host $(HOST) --port $(PORT)

# --- judging

# The benchmarks measure with wrk where it can be had.
debian-bench:
	@command -v wrk >/dev/null || { command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ] \
	  && { apt-get install --quiet --quiet --yes wrk >/dev/null 2>&1 || { apt-get update -qq && apt-get install -qq --yes wrk; } >/dev/null 2>&1; }; } \
	  || echo "wrk is not here and could not be installed; the benchmarks' own load generator is used"

test: install-dev
	@rm -f .coverage .coverage.*
	COVERAGE_FILE="$(CURDIR)/.coverage" $(BIN)/python -m pytest --cov --cov-report=term --numprocesses $(WORKERS) --dist loadgroup $(PYTEST_FLAGS)

check: install-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m pytest --quiet --no-header tests/architecture

format: install-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: install-dev debian-bench
	$(BIN)/python -m benchmarks $(BENCH_FLAGS)

# Locust wants other versions of what the tests use: it gets an environment of its own.
LOCUST_VERSION := 2.47.0
LOADTEST_FLAGS ?=

build/loadtest/.installed-$(LOCUST_VERSION): | $(BIN)/python
	$(BIN)/python -m venv --clear build/loadtest
	build/loadtest/bin/python -m pip install --quiet --disable-pip-version-check locust==$(LOCUST_VERSION)
	@touch $@

loadtest: install-dev build/loadtest/.installed-$(LOCUST_VERSION)
	$(BIN)/python -m loadtests $(LOADTEST_FLAGS)

docs: install-dev
	$(BIN)/zensical build --strict --clean --config-file mkdocs.yml
	@echo "site/index.html"

clean:
	rm -rf site build dist .coverage .coverage.* htmlcov .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find src services tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
