# SPDX-License-Identifier: GPL-3.0-or-later
# Everything real is in tools/; these are its names. PYTHON: a Python 3.11, 3.12 or 3.13.
PYTHON ?= python3

.PHONY: help python setup demo test test-all lint package clean

help:
	@echo "make demo       set up everything, then edit three strips in a real Blender (build/demo/)"
	@echo "make test       linters, tests of the engine, and of the extension in one Blender"
	@echo "make test-all   the extension in every supported Blender, and in a window"
	@echo "make lint       ruff and pyright"
	@echo "make package    build and validate the extension, as a repository: build/repository/"
	@echo "make setup      only the engine's environment (.venv) and the developers' tools"
	@echo "make clean      remove what demo, test and package made; environments stay"
	@echo "PYTHON=python3.13 make … uses another Python (3.11 to 3.13)."

python:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else \
	"error: $(PYTHON) is Python %d.%d; 3.11, 3.12 or 3.13 is needed: make PYTHON=python3.11 ..." % v)'

setup: python
	$(PYTHON) -B -m tools.development

demo: python
	$(PYTHON) -B -m tools.make_demo

test: python
	$(PYTHON) -B -m tools.run_tests test

test-all: python
	$(PYTHON) -B -m tools.run_tests test-all

lint: python
	$(PYTHON) -B -m tools.run_tests lint

package: python
	$(PYTHON) -B -m tools.package

clean:
	rm -rf build/demo build/tests build/gui build/repository .pytest_cache .ruff_cache
