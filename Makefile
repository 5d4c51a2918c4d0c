# Everything one does with this folder, on a plain virtual environment: only Python and make are presumed.
# Each target that `make help` lists carries its own line of help behind two hashes.

PYTHON ?= python3
BIN := .venv/bin

# "3.11.7 ok", "3.10.13 old", or nothing where there is no such Python.
FOUND := $(shell $(PYTHON) -c 'import sys; print("%d.%d.%d " % sys.version_info[:3] + ("old", "ok")[sys.version_info >= (3, 11)])' 2>/dev/null)
VERSION := $(firstword $(FOUND))
ADVICE := Install a newer one, or name it: make PYTHON=python3.13

# Stamps carry the version of Python, so that another one makes the environment anew.
MADE := .venv/.made-with-$(VERSION)
INSTALLED := .venv/.installed-with-$(VERSION)
TOOLS := .venv/.tools-with-$(VERSION)

PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# The lock names everything, so nothing is looked for beyond it: an older pip, asked for an extra of a locked package
# (coverage[toml]), would take that package's newest version and then refuse it for having no hash.
LOCKED := $(PIP) install --no-compile --require-hashes --no-deps --requirement
COMPILE := $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-annotate
BUILD_REQUIREMENTS := $(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")'

.PHONY: help install run test faults faults-cluster soak bench cluster pictures check fuzz pages man lock clean

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1 /p' $(MAKEFILE_LIST) | while read -r name line; do printf '  make %-14s %s\n' "$$name" "$$line"; done

install: $(INSTALLED) ## Install securechat into .venv, from the locked versions
	@echo "securechat is installed; it runs as $(BIN)/securechat"

run: $(INSTALLED) ## Serve; the first time, make certificates and an admin account before
	@set -e; home="$${SECURECHAT_HOME:-.}"; \
	[ -e "$$home/certs/server.pem" ] || $(BIN)/securechat gen-certs; \
	grep -qs '^[^#:]*:admin:' "$$home/credentials" || { \
		admin="$${SECURECHAT_ADMIN:-admin}"; $(BIN)/securechat adduser "$$admin" --admin --generate; \
		echo "To talk, in another terminal: $(BIN)/securechat connect $$admin@localhost" >&2; }; \
	exec $(BIN)/securechat serve

test: $(TOOLS) ## Run every test, and hold the coverage
	@$(BIN)/python -m tests.project.suite

faults: $(TOOLS) ## Kill servers, cut the power and break connections, hundreds of times, and count
	@$(BIN)/python -m tests.faults

faults-cluster: $(TOOLS) ## Kill, pause and cut off nodes and NATS servers of a cluster for MINUTES of 15, and count
	@$(BIN)/python -m tests.faults.nodes --minutes $(or $(MINUTES),15)

soak: $(TOOLS) ## Serve clients, attackers and reloads at once for MINUTES of 10, and count
	@$(BIN)/python -m tests.soak --minutes $(or $(MINUTES),10)

bench: $(TOOLS) ## Measure it beside other servers, in some minutes; BENCH=--help says what else can be asked for
	@$(BIN)/python -m bench $(BENCH)

cluster: $(TOOLS) ## Try out a cluster on this machine: three NATS servers and three nodes, until Ctrl-C
	@$(BIN)/python -m tests.cluster.tryout

pictures: $(TOOLS) ## Make the pictures in docs/pictures anew, from a real run
	@$(BIN)/python -m tests.project.pictures

check: $(TOOLS) ## Check format, style, types, the direction of imports, and the docs
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python -m tests.project.docs
	@$(BIN)/python -m tests.project.pages
	@$(BIN)/python -m tests.project.man
	@$(BIN)/python -m fuzz --seconds 20

fuzz: $(TOOLS) ## Try every property at length; where atheris is installed, fuzz for SECONDS of 600
	@$(BIN)/python -m pytest -q -m hypothesis --hypothesis-profile=deep tests
	@$(BIN)/python -m fuzz --seconds $(or $(SECONDS),600)

man: $(TOOLS) ## Write the manual page anew, from the commands
	@$(BIN)/python -m tests.project.man --write

pages: $(TOOLS) ## Write the parts of the docs anew that are made from the code
	@$(BIN)/python -m tests.project.pages --write

lock: $(MADE) ## Renew the locked versions within the ranges of pyproject.toml
	@$(PIP) install 'uv>=0.9,<1'
	@$(BUILD_REQUIREMENTS) | $(COMPILE) pyproject.toml - --output-file requirements.lock >/dev/null
	@$(BUILD_REQUIREMENTS) | $(COMPILE) pyproject.toml - --extra dev --constraint requirements.lock --output-file requirements-dev.lock >/dev/null

clean: ## Remove what make and its tools made; never what a server wrote
	@rm -rf .venv build dist *.egg-info .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .fuzz
	@find securechat tests bench -name __pycache__ -type d -prune -exec rm -rf {} +

$(MADE):
	$(if $(FOUND),,$(error There is no $(PYTHON) that runs. securechat needs Python 3.11 or newer. $(ADVICE)))
	$(if $(filter old,$(FOUND)),$(error securechat needs Python 3.11 or newer, and $(PYTHON) is $(VERSION). $(ADVICE)))
	@[ "$$($(BIN)/python -c 'import pip, sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null)" = "$(VERSION)" ] || \
	{ echo "Making .venv with Python $(VERSION)"; rm -rf .venv; $(PYTHON) -m venv .venv; }
	@touch $@

$(INSTALLED): $(MADE) requirements.lock pyproject.toml
	@echo "Installing securechat"
	@$(LOCKED) requirements.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(TOOLS): $(INSTALLED) requirements-dev.lock
	@echo "Installing what the tests and checks need"
	@$(LOCKED) requirements-dev.lock
	@$(PIP) check >/dev/null
	@touch $@
