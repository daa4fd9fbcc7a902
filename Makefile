# Everything a newcomer needs: `make demo`, then `make test`. Nothing but Python 3.11+, git and make is asked for.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test test-chaos check lint types chaos bench clean

demo: $(VENV)/installed
	$(BIN)/ltx-ray render manifests/demo.yaml
	$(BIN)/ltx-ray probe runs/demo/videos/*.mp4

# What starts Ray shares one cluster and runs in one process; the rest is spread over the cores.
RAY := tests/chaos/cluster tests/chaos/disk tests/e2e
test: $(VENV)/installed
	$(BIN)/python -m pytest -m "not slow" -n auto $(RAY:%=--ignore=%)
	$(BIN)/python -m pytest -m "not slow" $(RAY)

check: lint types $(VENV)/installed
	$(BIN)/python -m pytest -n auto tests/unit tests/test_architecture.py tests/chaos/simulated

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/installed
	$(BIN)/mypy

# Everything that takes minutes: lost workers and nodes, and long cards in every pair of settings.
chaos test-chaos: $(VENV)/installed
	$(BIN)/python -m pytest -m slow
	$(BIN)/python -m pytest -m "not slow" tests/e2e/test_long_form.py tests/e2e/test_long_faults.py

bench: $(VENV)/installed
	$(BIN)/python -m benchmarks.command
	$(BIN)/python -m benchmarks.durable
	$(BIN)/python -m benchmarks.engine
	$(BIN)/python -m benchmarks.loading
	$(BIN)/python -m benchmarks.longform simulated
	$(BIN)/python -m benchmarks.longform ray
	$(BIN)/python -m benchmarks.planning
	$(BIN)/python -m benchmarks.sampling
	$(BIN)/python -m benchmarks.step_memory
	$(BIN)/python -m benchmarks.store
	$(BIN)/python -m benchmarks.vae

clean:
	rm -rf $(VENV) runs .pytest_cache .mypy_cache .ruff_cache

# Pinned, so that today's install is next year's install.
$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	touch $@
