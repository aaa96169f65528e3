# make run    set up and run the demo          RUNS="PATH..." replays your own files
# make test   set up and run every test tier   that this machine can run
# make check  lint, types, import contract
# make bench  the benchmark tables, build/bench.json
# make docs   write the configuration's page and schema anew
# make models train the shipped models anew from simulated good runs

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
RUNS ?=
DEMO := $(if $(RUNS),$(foreach path,$(RUNS),--runs $(path)),) $(ARGS)

.PHONY: run test check bench models docs format clean

# Each environment is remade when what it is made from changes.
$(VENV)/.run: setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "histwatch needs Python 3.11 or newer: make PYTHON=python3.11")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[broker]'
	@touch $@

$(VENV)/.dev: $(VENV)/.run
	PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

run: $(VENV)/.run
	$(BIN)/histwatch demo $(DEMO)

test: $(VENV)/.dev
	$(BIN)/python -m pytest $(ARGS)

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.dev
	$(BIN)/python -m tests.bench $(ARGS)

models: $(VENV)/.dev
	rm -rf build/good && mkdir -p build
	$(BIN)/histwatch simulate --to-root build/good --run 1 --runs 24 --lumisections 4 --seed 7
	rm -f config/models/*.onnx config/models/*.json
	$(BIN)/histwatch learn build/good --cumulative --output config/models --flat

docs: $(VENV)/.dev
	$(BIN)/histwatch monitor --schema > config/monitor.schema.json
	$(BIN)/python docs/describe_configuration.py docs/configuration.md

clean:
	rm -rf $(VENV) build dist *.egg-info
