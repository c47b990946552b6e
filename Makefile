# make demo: set up everything, then find a winning ticket.   make test: set up everything, then check.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
NODE   := node_modules/.installed
REAL   := $(VENV)/.real-models

.PHONY: demo test test-all lint types tests tests-all wheel release lock docs bench fuzz clean

demo: $(STAMP)
	$(BIN)/winnow run lth/digits

# What a developer runs: under 15 minutes on two cores.
test: lint types tests

# What continuous integration runs: benches, examples, models and trainers of other libraries, and the wheel as well.
test-all: lint types tests-all wheel

lint: $(STAMP) $(NODE)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PATH="$(CURDIR)/$(BIN):$$PATH" node_modules/.bin/biome check --error-on-warnings

types: $(STAMP)
	$(BIN)/mypy

tests: $(STAMP) $(NODE)
	$(BIN)/python -m pytest -n 2 -m 'not slow'

tests-all: $(STAMP) $(REAL) $(NODE)
	$(BIN)/python -m pytest -n 2

# Builds the wheel, installs it in a clean environment and runs the demo there, in another folder.
wheel:
	.ci/wheel $(PYTHON)

# Wheel, source, licences and SBOM in dist/, with everything that takes part pinned by its hash.
release:
	.ci/release $(PYTHON)

# Writes requirements/ (pins with hashes, licences) from constraints.txt, and installs them once to see that they fit.
lock:
	rm -rf build/lock
	$(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet --disable-pip-version-check uv
	PATH="$(CURDIR)/build/lock/bin:$$PATH" build/lock/bin/python .ci/lock
	build/lock/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/all.txt
	build/lock/bin/python .ci/licences >requirements/licences.new
	mv requirements/licences.new requirements/licences.md
	rm -rf build/lock

# Writes the parts of docs/ that are made from the code, the reports of stored results, and the site of both.
# Nothing is fetched and nothing is trained; a warning is an error. Links within the site are checked, others not.
docs: $(STAMP)
	$(BIN)/python docs/generate.py
	PYTHONPATH=docs $(BIN)/python -m making.gallery build/gallery
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs build/site
	@echo "site: $(CURDIR)/build/site/index.html"

# Measures the tables of docs/speed.md on this machine, one after the other (about an hour), and prints them.
bench: $(STAMP)
	$(BIN)/python bench/all.py

# The stamp makes a second call free; a changed dependency makes it install again.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Winnow needs Python 3.11 or newer; this is " + sys.version.split()[0] + ": make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $(STAMP)

# Lightning, transformers, onnxruntime and their like, which tests use where they are installed.
$(REAL): $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,real-models,onnx]'
	@touch $(REAL)

# What checks JavaScript, CSS and accessibility; node itself comes from a Python package.
$(NODE): package.json package-lock.json | $(STAMP)
	PATH="$(CURDIR)/$(BIN):$$PATH" npm ci --silent --no-audit --no-fund
	@touch $(NODE)

# Fuzzes every loader, one after the other: SECONDS each (19 targets; an hour each by default). Inputs that raise what is
# not documented are kept in build/fuzz/, and those that were mended in tests/fuzz/corpus/.
SECONDS ?= 3600
fuzz: $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[fuzz]'
	failed=0; for target in $$($(BIN)/python tests/fuzz/fuzz.py --list); do \
	  nice -n 10 $(BIN)/python tests/fuzz/fuzz.py $$target --seconds $(SECONDS) || failed=1; \
	done; exit $$failed

clean:
	rm -rf $(VENV) node_modules build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
