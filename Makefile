# Two commands do all the set-up on a fresh Debian machine with Python 3.11 or newer:
#   make demo   segment a real micrograph in a napari window and leave the results in demo_output/
#   make test   every check: style, types, import arrows, manifest, tests

BIN := .venv/bin
READY := .venv/.set-up
export PYTHON

.PHONY: help setup demo test lint clean

help:
	@sed -n 's/^#   //p' Makefile

setup: $(READY)

$(READY): pyproject.toml constraints.txt scripts/setup.sh
	bash scripts/setup.sh

demo: $(READY)
	bash scripts/with_display.sh $(BIN)/python -m napari_stemprior.qt.demo --output demo_output

test: lint
	$(BIN)/pytest

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/npe2 validate napari-stemprior

clean:
	rm -rf .venv demo_output build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
