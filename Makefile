# Everything starts from nothing: `make run` and `make test` need Python 3.11+, make and a
# package index. The virtual environment in .venv is redone only when the pins change.

SHELL := /bin/sh
.DEFAULT_GOAL := help

# Compiled bytecode halves the time every process takes to start.
unexport PYTHONDONTWRITEBYTECODE
# Belong to somebody else's environment and would reach into ours.
unexport PYTHONPATH
unexport PYTHONHOME
unexport VIRTUAL_ENV

BIN := .venv/bin

.PHONY: help setup run up down status logs doctor test lint format bench lock clean

help: ## Show this
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

setup: ## Make the virtual environment (the other targets do it by themselves)
	@new=; for name in $(BIN)/python python3.11 python3.12 python3.13 python3 python; do \
	  if $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
	    new=$${new:-$$name}; \
	    if $$name -c 'import ensurepip, venv' >/dev/null 2>&1; then new=$$name; break; fi; \
	  fi; done; \
	if [ -z "$$new" ]; then echo "error: no Python 3.11 or newer on PATH (python3 is: \
	$$(python3 --version 2>&1)); install one" >&2; exit 1; fi; \
	$$new deployments/bootstrap.py

run: setup ## Start the floor in the foreground; Ctrl-C stops it
	@exec $(BIN)/floor run

up: setup ## Start the floor in the background
	@$(BIN)/floor up

down: setup ## Stop the floor
	@$(BIN)/floor down

status: setup ## Show what runs and how the agents do
	@$(BIN)/floor status

logs: setup ## Show the last lines of every log
	@$(BIN)/floor logs

doctor: setup ## Check every part and say how to mend it
	@$(BIN)/floor doctor

test: setup ## Run every test, on three processes (they mostly wait)
	@env -u CI $(BIN)/python -m pytest -n 3 --dist loadfile

lint: setup ## Check style, format, imports and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

format: setup ## Put the code into its format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: setup ## Measure what is claimed to be fast
	@if [ -f benchmarks/run.py ]; then exec $(BIN)/python benchmarks/run.py; \
	else echo "error: there is no benchmarks/run.py in this version" >&2; exit 1; fi

lock: setup ## Renew requirements.lock from pyproject.toml
	$(BIN)/uv pip compile pyproject.toml --group dev --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-header -o requirements.lock

clean: ## Remove the virtual environment and caches (never .floor, which holds the data)
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
