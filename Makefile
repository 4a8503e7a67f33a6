# `make quickstart` and `make test` do all of their own set-up.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# The versions that are installed: constraints-lowest.txt are the oldest that work; /dev/null the newest.
CONSTRAINTS ?= constraints.txt

# Generated inputs of each property in `make fuzz`; with 3000 it takes about an hour on two cores.
FUZZ_EXAMPLES ?= 3000

.PHONY: quickstart test test-all pytest test-manual test-timm lint fuzz benchmarks docs clean

quickstart: $(VENV)/.installed
	$(BIN)/bilateral system

test: lint $(VENV)/.installed-dev
	$(BIN)/pytest -n 2 --dist worksteal -m "not slow and not manual"

test-all: lint pytest

pytest: $(VENV)/.installed-dev
	$(BIN)/pytest -n 2 --dist worksteal

test-manual: $(VENV)/.installed-dev
	$(BIN)/pytest -n 2 --dist worksteal -m manual

test-timm:
	$(PYTHON) -m venv $(VENV)-timm && $(VENV)-timm/bin/pip install --quiet -c constraints.txt -e ".[dev,timm]"
	HF_HUB_OFFLINE=1 $(VENV)-timm/bin/pytest tests/models/test_timm_model.py

lint: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fuzz: $(VENV)/.installed-dev
	BILATERAL_FUZZ_EXAMPLES=$(FUZZ_EXAMPLES) $(BIN)/pytest -n 2 --hypothesis-show-statistics \
		tests/base/test_yaml_files.py tests/runs/test_overrides.py tests/*/test_doors.py

benchmarks: $(VENV)/.installed-benchmarks
	$(BIN)/pytest benchmarks

docs: $(VENV)/.installed-docs
	$(BIN)/mkdocs build --strict

$(VENV)/.installed: pyproject.toml $(CONSTRAINTS)
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "bilateral needs Python 3.11 or newer; set PYTHON=python3.11")'
	@echo "setting up $(VENV), once; PyTorch is large"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS) -e ".[analysis]"
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS) -e ".[dev]"
	@touch $@

$(VENV)/.installed-benchmarks: $(VENV)/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS) -e ".[benchmarks]"
	@touch $@

$(VENV)/.installed-docs: $(VENV)/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS) -e ".[docs]"
	@touch $@

clean:
	rm -rf $(VENV)
