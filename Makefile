# The verbs of this repository. A fresh machine needs Python >= 3.11 and make.
#   make up     install what the gateway needs and start it on 127.0.0.1:4141
#   make test   install what the tests need and run them
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet install
# Hashes pin what is installed; our own package is then built by the pinned builder alone.
OURSELVES := $(PIP) --no-deps --no-build-isolation --editable .

.DEFAULT_GOAL := help
.PHONY: help up test test-all test-clients check format docs bench shots lock clean

help:
	@sed -n 's/^# \{0,1\}//p' Makefile | head -4

up: $(VENV)/up.done
	@$(BIN)/holdfast up

test: $(VENV)/dev.done $(VENV)/old-sdks.done
	$(BIN)/python -m pytest -n 2 -m "not long"

test-all: $(VENV)/dev.done $(VENV)/old-sdks.done
	$(BIN)/python -m pytest -n 2

# The real clients, from npm and PyPI, each against a real gateway. ONLY="claude codex" names some.
test-clients: $(VENV)/dev.done
	$(BIN)/python -m tests.matrix --install $(ONLY)

check: $(VENV)/dev.done
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/dev.done
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/dev.done
	$(BIN)/python docs/reference.py

bench: $(VENV)/dev.done
	$(BIN)/python -m bench

shots: $(VENV)/dev.done
	$(BIN)/python -m bench.shots

# The locks: run after a change of the dependencies in pyproject.toml (needs uv).
LOCK := uv pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url --python-version 3.11
lock:
	$(LOCK) pyproject.toml -o requirements/run.txt
	$(LOCK) --group build -o requirements/build.txt
	$(LOCK) --group build --group check --group test pyproject.toml -o requirements/dev.txt
	$(LOCK) --group old-sdks -o requirements/old-sdks.txt

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .hypothesis .import_linter_cache

$(VENV)/made:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("holdfast needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.11 $(MAKECMDGOALS)")'
	@echo "holdfast: making the virtual environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@# Pythons before 3.12 put in a builder that nothing here builds with.
	@$(BIN)/python -m pip --disable-pip-version-check --quiet uninstall --yes setuptools 2>/dev/null || true
	@touch $@

$(VENV)/up.done: $(VENV)/made requirements/run.txt requirements/build.txt pyproject.toml
	@echo "holdfast: installing the locked dependencies"
	@$(PIP) --require-hashes -r requirements/build.txt -r requirements/run.txt
	@$(OURSELVES)
	@touch $@

$(VENV)/dev.done: $(VENV)/made requirements/dev.txt pyproject.toml
	@echo "holdfast: installing what the checks and tests need"
	@$(PIP) --require-hashes -r requirements/dev.txt
	@$(OURSELVES)
	@touch $@ $(VENV)/up.done

# The SDKs' previous majors live apart: they differ on the wire, and users still have them.
$(VENV)/old-sdks.done: $(VENV)/made requirements/old-sdks.txt
	@echo "holdfast: installing the previous majors of the SDKs"
	@$(PIP) --require-hashes --target $(VENV)/old-sdks --upgrade -r requirements/old-sdks.txt
	@touch $@
