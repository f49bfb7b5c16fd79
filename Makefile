# Everything a person does with this repository. `make` alone says what there is.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# The first Python of version 3.11 or later; `make PYTHON=/path/to/python3` names another.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then echo $$python; exit; fi; done; echo python3)
BIN := .venv/bin

PORT ?= 8080
HOST ?= 127.0.0.1
DATA ?= .sluice
BROKERS ?= 1
COPIES ?=
KAFKA ?=
POSTGRES ?=
PUBLIC_URL ?=
LOG ?= warning
T ?=
SEEDS ?= 1000
FIRST ?= 0
KILLS ?= 50
SHORT ?=
AUDIENCE ?=
RATE ?=
STORY ?=
ONLY ?=

PACKAGES := $(wildcard libs/*/src services/*/src deploy/*/src)

##@ Run

up: install ## Start everything on one port [PORT=8080 DATA=.sluice COPIES="channel-sms=2" BROKERS=3 KAFKA=host:port,… POSTGRES=dsn HOST=… LOG=info]
	@exec $(BIN)/sluice up --port '$(PORT)' --host '$(HOST)' --data '$(DATA)' --brokers '$(BROKERS)' --copies '$(COPIES)' \
		--kafka '$(KAFKA)' --postgres '$(POSTGRES)' --public-url '$(PUBLIC_URL)' --log '$(LOG)'

demo: install ## Play the three flows with 1,000 contacts, and one event through each door, on a running stack [DATA=.sluice]
	@$(BIN)/sluice demo --data '$(DATA)'

install: ## Set up .venv, when it is not current already
	@$(PYTHON) deploy/local/install.py

##@ Check

test: install ## Run the tests, two files at a time, or those that are named [T=path or pytest arguments]
	@$(BIN)/python -m pytest $(or $(T),--numprocesses 2 --dist loadfile)

simulate: install ## Play many seeds of the deterministic simulation [SEEDS=1000 FIRST=0 STORY=1 tells all of one]
	@PYTHONPATH=tests/simulation $(BIN)/python -m simulated --seeds '$(SEEDS)' --first '$(FIRST)' $(if $(STORY),--story)

bench: install ## Measure how fast it is here [ONLY=accept,poll,… QUICK=1 CONTACTS=200000 ROUND_SECONDS=6 …]; writes bench.json
	@PYTHONPATH=tests/bench:tests/support $(BIN)/python -m bench --only '$(ONLY)'

chaos: SEEDS = 7
chaos: BROKERS = 3
chaos: install ## Kill, stop, fill and lose under load, then check [SEEDS=7,8,9 KILLS=50 SHORT=1 BROKERS=1 AUDIENCE=20000 RATE=5]
	@PYTHONPATH=tests/chaos $(BIN)/python -m chaos --seeds '$(SEEDS)' --kills '$(KILLS)' --brokers '$(BROKERS)' \
		$(if $(SHORT),--short) $(if $(AUDIENCE),--audience '$(AUDIENCE)') $(if $(RATE),--rate '$(RATE)')

lint: install ## Check style, formatting, types and who imports whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict $(PACKAGES)
	$(BIN)/lint-imports

check: lint test ## lint and test

format: install ## Put the code into the agreed form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

##@ Maintain

lock: ## Write requirements/*.txt anew from the pyproject.toml files (needs uv)
	@command -v uv >/dev/null || { echo "make lock needs uv: $(PYTHON) -m pip install uv" >&2; exit 1; }
	uv lock --quiet
	uv export --quiet --frozen --all-packages --no-emit-workspace --no-header --no-annotate -o requirements/dev.txt
	uv export --quiet --frozen --no-dev --no-emit-workspace --no-header --no-annotate -o requirements/services.txt \
		$(addprefix --package sluice-,$(notdir $(wildcard services/*)))
	@! grep -n '://' requirements/*.txt

contracts: install ## Write docs/topics and the OpenAPI document anew from the code that validates
	$(BIN)/python -m sluice_contracts.publish docs/topics
	$(BIN)/python -m sluice_local.api_document libs/contracts/src/sluice_contracts/openapi.json

clean: ## Remove the stack's data and every cache, but not .venv [DATA=.sluice]
	rm -rf -- '$(DATA)' .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

help: ## Say what there is
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@/ { printf "\n\033[1m%s\033[0m\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  \033[36m%-10s\033[0m %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: up demo install test simulate chaos bench lint check format lock contracts clean help
