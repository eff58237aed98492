# `make app` and `make test` do all they need from a bare Python 3.11 to 3.13; the second time they start at once.

VENV := .venv
MODEL_SERVER := .venv-model-server
PORT ?= 8501
THEME ?= dark
PYTHONS := $(PYTHON) python3 python python3.13 python3.12 python3.11
# The stamps are named after what was installed, so a changed requirement installs anew and nothing else does.
APP := $(VENV)/.app-$(shell cat requirements.txt requirements.lock | cksum | cut -d' ' -f1)
TEST := $(VENV)/.test-$(shell cat requirements.txt requirements-server.txt requirements-dev.txt requirements.lock | cksum | cut -d' ' -f1)
PIP := $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --constraint requirements.lock

.PHONY: app looks test test-fast lint types coverage coverage-fast audit wheel lock pretraining model-server clean
.DEFAULT_GOAL := app

app: $(APP)
	$(VENV)/bin/python -m streamlit run streamlit_app.py --server.port $(PORT) --theme.base .streamlit/$(THEME).toml

# Compiled modules are kept even where the environment says otherwise: every process that a test starts would compile
# them anew.
test test-fast coverage coverage-fast looks: export PYTHONDONTWRITEBYTECODE =

# A process takes one file after the other, so that fixtures of a file are made once; tests/conftest.py orders them.
PYTEST := $(VENV)/bin/python -m pytest -q --dist loadfile --no-loadscope-reorder

# Four processes on two processors: tests of browsers, servers and jobs wait for these much of the time. The type checker
# runs beside them, and is heard after them.
PROCESSES ?= 4
test: $(TEST) lint
	@$(VENV)/bin/python -m mypy > $(VENV)/types.log 2>&1 & checker=$$!; \
	$(PYTEST) -n $(PROCESSES); tested=$$?; \
	wait $$checker; typed=$$?; \
	cat $(VENV)/types.log; \
	exit $$((tested || typed))

# Without what is slow by nature, needs a browser, or needs data that is not in the repository.
QUICK := -n 2 -m "not slow and not browser and not dataset"
test-fast: $(TEST)
	$(PYTEST) $(QUICK)

lint: $(TEST)
	$(VENV)/bin/python -m ruff check .
	$(VENV)/bin/python -m ruff format --check .

types: $(TEST)
	$(VENV)/bin/python -m mypy

# The share of fracture_core's lines that the tests run, in processes that they start too; coverage-fast: the quick ones.
coverage: $(TEST)
	$(PYTEST) -n $(PROCESSES) --cov --cov-report=term:skip-covered

coverage-fast: $(TEST)
	$(PYTEST) $(QUICK) --cov --cov-report=term-missing:skip-covered

# Every page and state in both themes, by axe-core and a ruler; ten minutes.
looks: $(TEST)
	FRACTURE_EVERY_PAGE=1 $(PYTEST) tests/browser/test_every_page.py

# Known vulnerabilities of what is locked. Asks pypi.org itself, because mirrors do not have the list; no test needs it.
PYPI := https://pypi.org/pypi/pip/25.0/json
audit: $(TEST)
	@$(VENV)/bin/python -c "import urllib.request; urllib.request.urlopen('$(PYPI)', timeout=20)" 2>/dev/null || { \
	  echo "make audit reads known vulnerabilities from PyPI's own server, and $(PYPI) cannot be read from here: nothing was checked."; exit 1; }
	$(VENV)/bin/uv tool run --from pip-audit==2.10.1 pip-audit --strict --requirement requirements.lock --no-deps --disable-pip

# dist/: a source archive, and a wheel for `pip install`.
wheel: $(TEST)
	$(VENV)/bin/python -m build --no-isolation

# PyTorch, for `python -m fracture_core pretrain` and its tests; without it those tests say that they skip.
pretraining: $(TEST)
	$(PIP) --requirement requirements-pretrain.txt

# MLServer, half a gigabyte, in an environment of its own because its pins are not TensorFlow's; without it the tests
# that need a real model server say that they skip.
model-server: $(VENV)/bin/python
	$(VENV)/bin/python -m venv $(MODEL_SERVER)
	$(MODEL_SERVER)/bin/python -m pip install --quiet --disable-pip-version-check --requirement requirements-model-server.txt

# One lock for every Python from 3.11 up; the requirements files say what we chose, the lock what that brings along.
lock: $(TEST)
	$(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --no-header --no-emit-index-url --upgrade \
	  requirements-dev.txt --output-file requirements.lock

clean:
	rm -rf $(VENV) $(MODEL_SERVER) dist

$(APP): | $(VENV)/bin/python
	@echo "Installing what the app needs (a few minutes, once) ..."
	$(PIP) --requirement requirements.txt
	@rm -f $(VENV)/.app-* && touch $@

$(TEST): $(APP)
	@echo "Installing what the tests need ..."
	$(PIP) --requirement requirements-dev.txt
	@rm -f $(VENV)/.test-* && touch $@

$(VENV)/bin/python:
	@for python in $(PYTHONS); do \
	  if "$$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then \
	    "$$python" -c 'import ensurepip, venv' 2>/dev/null || { \
	      echo "$$python cannot make virtual environments: install its venv package (Debian: apt install python3-venv)."; \
	      exit 1; }; \
	    echo "Making $(VENV) with $$("$$python" --version) ..."; \
	    exec "$$python" -m venv $(VENV); \
	  fi; \
	done; \
	echo "No Python 3.11, 3.12 or 3.13 was found on the PATH: install one, or name it: make app PYTHON=/path/to/python3.12"; \
	exit 1
