# Two commands do all the set-up on a fresh Debian machine with Python 3.11 or newer:
#   make demo   segment a real micrograph in a napari window and leave the results in demo_output/
#   make test   every check: style, types, import arrows, manifest, tests
#   make fuzz   10,000 damaged files for every reader, and a table (an hour)
#   make kills   200 kills of every writer at its work, and a table (20 minutes)
#   make random-actions   100 random sequences of what a person does at the desk, in a real window (half an hour)
#   make test-pyside6   the tests of the desk with PySide6 instead of PyQt6

BIN := .venv/bin
READY := .venv/.set-up
# Processes that share the tests; files stay whole, for their tests share what is costly to make.
WORKERS ?= $(shell nproc)
PYTEST := $(BIN)/pytest --numprocesses $(WORKERS) --dist loadfile
export PYTHON

.PHONY: help setup demo test fuzz kills random-actions test-pyside6 lint clean

help:
	@sed -n 's/^#   //p' Makefile

setup: $(READY)

$(READY): pyproject.toml constraints.txt scripts/setup.sh
	bash scripts/setup.sh

demo: $(READY)
	bash scripts/with_display.sh $(BIN)/python -m napari_stemprior.qt.demo --output demo_output

test: lint
	$(PYTEST)

fuzz: $(READY)
	$(BIN)/python tests/fuzz/run_fuzz.py --cases 10000

kills: $(READY)
	$(BIN)/python tests/kills/run_kills.py --kills 200

random-actions: $(READY)
	STEMPRIOR_SEQUENCES=100 $(BIN)/pytest tests/qt/test_random_actions.py

# The desk with the other Qt binding, which is put beside the environment and not into it. PySide6 6.12 passes
# too, but aborts when Python 3.11 ends ("deallocating None"), so the version is held.
test-pyside6: $(READY)
	$(BIN)/pip install --quiet --upgrade --no-deps --target .venv/pyside6 'PySide6-Essentials==6.9.*' 'shiboken6==6.9.*'
	QT_API=pyside6 PYTEST_QT_API=pyside6 PYTHONPATH=.venv/pyside6 $(PYTEST) tests/qt

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/npe2 validate napari-stemprior

clean:
	rm -rf .venv demo_output build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
