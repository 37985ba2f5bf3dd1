# make demo   the main job on a motion world: real mp4 files in, report out
# make test   the tests         make lint   style         All set up .venv by themselves.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export TF_CPP_MIN_LOG_LEVEL ?= 2

.PHONY: demo test lint parity results league benchmarks catalogue clean

# The demo needs the library alone; the tests need the other back ends too.
$(VENV)/installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

$(VENV)/installed-dev: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[dev]"
	touch $@ $(VENV)/installed

$(VENV)/lint:
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "ruff>=0.9,<1"
	touch $@

demo: $(VENV)/installed
	$(BIN)/keras-vssl demo --out demo --overwrite

test: $(VENV)/installed-dev
	$(BIN)/python -m pytest -n 2 --dist worksteal

# Every fixture of shared/goldens on every back end: `make test` compares all on TensorFlow, and one
# of each kind on the others. JAX takes a quarter of an hour on two cores.
parity: $(VENV)/installed-dev
	for backend in tensorflow torch jax; do \
	  KERAS_BACKEND=$$backend XLA_FLAGS=--xla_backend_optimization_level=0 \
	  $(BIN)/python -m tests.parity || exit 1; done

lint: $(VENV)/lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# The table in README.md, from the real clips (an hour and more on two cores).
results: $(VENV)/installed
	$(BIN)/python -m benchmarks.real_clips

# The league table in README.md, from the real clips (an hour on two cores).
league: $(VENV)/installed-dev
	$(BIN)/python -m benchmarks.league

# docs/performance.md, measured again (a quarter of an hour on two cores with nothing else to do).
benchmarks: $(VENV)/installed-dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[benchmarks]"
	$(BIN)/python -m benchmarks.startup
	$(BIN)/python -m benchmarks.prepare
	$(BIN)/python -m benchmarks.loader
	$(BIN)/python -m benchmarks.embed
	$(BIN)/python docs/performance.py

# presets/, docs/backbones/ and docs/methods.md, from the tables and classes they describe (two minutes).
catalogue: $(VENV)/installed-dev
	$(BIN)/python docs/catalogue.py
	$(BIN)/python docs/methods.py

clean:
	rm -rf $(VENV) demo
