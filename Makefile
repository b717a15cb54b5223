# On a fresh machine with Python 3.11 or newer, `make derive` and `make test` set up everything they need
# in .venv (nothing outside this folder is touched). Another Python: make PYTHON=python3.12 test

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
KATEX := tests/katex/node_modules/.package-lock.json

.PHONY: help derive test test-slow test-all peers lint bench katex katex-if-possible
.PHONY: venv venv-test venv-peers venv-dev clean

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | awk -F'|' '{ printf "%-18s %s\n", $$1, $$2 }'

derive: venv  ## the gradient with respect to W_x, derived step by step
	@$(BIN)/rnn-symbolic derive W_x --to text

test: venv-test katex-if-possible  ## all tests but the long sweeps
	$(BIN)/python -m pytest -n auto

test-slow: venv-test katex-if-possible  ## the long sweeps only
	$(BIN)/python -m pytest -n auto -m slow

test-all: venv-test katex-if-possible  ## all tests
	$(BIN)/python -m pytest -n auto -m ""

peers: venv-peers  ## the tests against PyTorch and JAX, and both (400 MB, or GBs if pip finds no CPU build)
	RNN_SYMBOLIC_REQUIRE_TOOLS=1 $(BIN)/python -m pytest tests/test_peers.py tests/test_compiled_torch.py \
	  tests/test_compiled_jax.py

lint: venv-dev  ## ruff and mypy
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

bench: venv-test  ## how long things take
	$(BIN)/python -m benchmarks

katex: $(KATEX)  ## KaTeX for the tests of the LaTeX (needs npm)
	@:

clean:  ## remove .venv, caches and built files
	rm -rf $(VENV) tests/katex/node_modules build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find rnn_symbolic tests -name __pycache__ -type d -prune -exec rm -rf {} +

# The set-up. A stamp inside .venv is as old as the last installation; pyproject.toml makes it stale.
# What it says goes to stderr, so that stdout of `make derive` is the derivation and nothing else.

INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check

venv: $(VENV)/installed
venv-test: $(VENV)/installed-test
venv-peers: $(VENV)/installed-peers
venv-dev: $(VENV)/installed-dev

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo \
	  "rnn_symbolic needs Python 3.11 or newer, and '$(PYTHON)' is missing or older." \
	  "Name another one: make PYTHON=python3.12 …" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo \
	  "'$(PYTHON)' cannot make virtual environments: its venv module is missing." \
	  "On Debian or Ubuntu: apt install python3-venv" >&2; exit 1; }
	@echo "making $(VENV) (once)" >&2
	@$(PYTHON) -m venv --clear $(VENV)

$(VENV)/installed: pyproject.toml | $(BIN)/python
	@echo "installing sympy, numpy and this package into $(VENV) (once)" >&2
	@$(INSTALL) --editable . >&2
	@touch $@

$(VENV)/installed-test: pyproject.toml | $(BIN)/python
	@echo "installing the test tools into $(VENV) (once)" >&2
	@$(INSTALL) --editable '.[test]' >&2
	@touch $@ $(VENV)/installed

$(VENV)/installed-peers: pyproject.toml | $(VENV)/installed-test
	@echo "installing PyTorch and JAX into $(VENV) (once)" >&2
	@$(INSTALL) --editable '.[peers]' >&2
	@touch $@

# pip reads dependency groups from 25.1 on; Python 3.11 comes with an older one.
$(VENV)/installed-dev: pyproject.toml | $(VENV)/installed-test
	@echo "installing ruff and mypy into $(VENV) (once)" >&2
	@$(INSTALL) 'pip>=25.1' >&2
	@$(INSTALL) --group dev >&2
	@touch $@

$(KATEX): tests/katex/package.json tests/katex/package-lock.json tests/katex/.npmrc
	@echo "installing KaTeX into tests/katex/node_modules (once)" >&2
	@npm ci --prefix tests/katex --loglevel=error >&2
	@touch $@

katex-if-possible:
	@if command -v npm >/dev/null; then \
	  $(MAKE) --no-print-directory katex || echo "note: npm could not install KaTeX; its tests are skipped"; \
	else \
	  echo "note: npm is not installed; the tests that need KaTeX are skipped"; \
	fi
