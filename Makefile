# Two commands do everything: `make demo` runs the main job, `make test` runs lint, types and tests.
# Each makes .venv when it is missing. PIP_* variables of the environment pass through to pip.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.synthsift-installed

.PHONY: demo test lint types suite results-check clean

demo: $(STAMP)
	$(BIN)/synthsift demo

test: lint types suite

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

suite: $(STAMP)
	$(BIN)/pytest -n 2 --durations=20

results-check: $(STAMP)
	$(BIN)/python -m benchmarks.tables --check

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache
