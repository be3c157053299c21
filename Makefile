# Two commands matter: `make run` and `make test`. `make help` lists the rest.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help

help: ## what can be done here
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.runtime: requirements.lock requirements-training.lock requirements-embedded.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed; set PYTHON=…")'
	@echo "installing the locked packages into $(VENV): about a minute, once"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
		-r requirements.lock -r requirements-training.lock -r requirements-embedded.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.runtime
	@echo "installing what tests and checks need"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

run: $(VENV)/.runtime ## start everything; Ctrl-C stops everything; data stays in .data
	@exec $(BIN)/gospablik up

# What was compiled once is kept, whatever the shell says: tests start hundreds of processes.
test test-long: export PYTHONDONTWRITEBYTECODE =

test: $(VENV)/.dev ## unit, integration, contract and end-to-end tests (10 minutes at most)
	$(BIN)/python -m pytest -m "not long" -n 4 --no-loadscope-reorder --durations 40

test-long: $(VENV)/.dev ## seeded kill and fault runs, API fuzzing, short benchmarks (40 minutes at most)
	$(BIN)/python -m pytest -m long --timeout 1800 -n 3 --no-loadscope-reorder --durations 40

# OPTIONS=--stand-ins asks no registry; STEPS="image start" runs these steps alone.
test-containers: $(VENV)/.dev ## build the image, try everything that operators do (root, Podman or Docker; 40 minutes)
	$(BIN)/python -m tests.containers $(OPTIONS) $(STEPS)

lint: $(VENV)/.dev ## ruff, mypy --strict, import contracts, squawk on migrations
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m migrations.lint

format: $(VENV)/.dev ## write the canonical format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.dev ## every benchmark, each with its ratio to a floor
	$(BIN)/python -m bench

# What natasha needs to run; only a file of it is read.
UNUSED := dawg-python docopt intervaltree ipymarkup pymorphy2 pymorphy2-dicts-ru razdel slovnet sortedcontainers yargy
RESOLVE := uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header

lock: ## resolve requirements*.in into hashed locks (needs uv)
	$(RESOLVE) $(UNUSED:%=--no-emit-package %) requirements.in -o requirements.lock
	$(RESOLVE) -c requirements.lock --no-emit-package numpy requirements-training.in -o requirements-training.lock
	$(RESOLVE) -c requirements.lock requirements-embedded.in -o requirements-embedded.lock
	$(RESOLVE) -c requirements.lock -c requirements-training.lock -c requirements-embedded.lock requirements-dev.in -o requirements-dev.lock

.PHONY: help run test test-long test-containers lint format bench lock
