# Two commands matter: `make demo` and `make test`. Each makes its own environment first.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test lint test-full calibration benchmark side-by-side bench record-experiments record-bench fingerprint-bench register-bench tree-bench cluster-cost hearing-demo hearing-load league-demo league-calibration clean

demo: $(VENV)/demo.stamp
	$(BIN)/jokbo demo --output demo-output

test: $(VENV)/test.stamp
	$(BIN)/python -m pytest -n 2 -m "not torch and not browser and not postgres and not slow and not network"

lint: $(VENV)/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The suites that need PyTorch, Transformers, Chromium and PostgreSQL; there, a skip is a failure.
test-full: $(VENV)/full.stamp
	JOKBO_FULL=1 $(BIN)/python -m pytest -n 2 -m "(torch or browser or postgres) and not slow and not network"

calibration: $(VENV)/test.stamp
	$(BIN)/python -m benchmarks.calibration --markdown docs/reference/calibration.md

# Ours and the peers over the grid of edits and disguises; goes on where a stopped run was.
benchmark: $(VENV)/test.stamp
	$(BIN)/python -m benchmarks.benchmark

# Seconds on 7B-shaped layers, on a quiet machine; the next `make benchmark` shows them.
side-by-side: $(VENV)/test.stamp
	$(BIN)/python -m benchmarks.side_by_side

bench: $(VENV)/test.stamp
	$(BIN)/python -m benchmarks.speed --markdown docs/reference/speed.md
	$(BIN)/python -m benchmarks.league_speed --markdown docs/reference/league-speed.md

# Honest trainings and forgeries against every check on records; goes on where a stopped run was.
record-experiments: $(VENV)/full.stamp
	$(BIN)/python -m benchmarks.record_experiments

# A log of a million steps and twenty metrics: read, and audited whole.
record-bench: $(VENV)/test.stamp
	$(BIN)/python -m benchmarks.record_speed

# Fingerprints: sizes, power beside full comparisons, calibration.
fingerprint-bench: $(VENV)/test.stamp
	$(BIN)/python -m benchmarks.fingerprint_power --write

# A register of 10,000: seconds, memory, and what the prefilter drops.
register-bench: $(VENV)/test.stamp
	$(BIN)/python -m benchmarks.register_search

# The zoo and its transforms as one family tree.
tree-bench: $(VENV)/test.stamp
	$(BIN)/python -m benchmarks.family_tree

# Bytes, requests and hours for 10,000 models of 8B.
cluster-cost: $(VENV)/test.stamp
	$(BIN)/python -m benchmarks.cluster_cost

# A rehearsal over zoo models: a false and a true claim, from the first entry to the archive.
hearing-demo: $(VENV)/test.stamp
	$(BIN)/python -m benchmarks.hearing_demo

# 2,500 readers, 5 events and 100 votes a second, for a minute; then again, with a kill.
hearing-load: $(VENV)/full.stamp
	$(BIN)/python -m benchmarks.hearing_load --markdown docs/reference/hearing-load.md
	$(BIN)/python -m benchmarks.hearing_load --kill --markdown docs/reference/hearing-load.md

# A season of five teams with models of the zoo: scored, gated, checked, its site written to league-output.
league-demo: $(VENV)/test.stamp
	$(BIN)/python -m benchmarks.league_demo

# Thousands of simulated rounds: do rank sets cover, and are equal teams left unresolved?
league-calibration: $(VENV)/test.stamp
	$(BIN)/python -m benchmarks.league_calibration --write

$(VENV)/python.stamp:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] not in {(3, 11), (3, 12), (3, 13)})' || \
	  { echo "Jokbo needs Python 3.11, 3.12 or 3.13; $(PYTHON) is another one. Run: make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "this Python has no venv module; on Debian and Ubuntu run: apt install python3-venv" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/demo.stamp: $(VENV)/python.stamp pyproject.toml constraints.txt
	$(PIP) --editable .
	@touch $@

$(VENV)/test.stamp: $(VENV)/python.stamp pyproject.toml constraints.txt
	$(PIP) --editable '.[test]'
	@touch $@ $(VENV)/demo.stamp

$(VENV)/full.stamp: $(VENV)/test.stamp
	$(PIP) torch==2.13.0
	$(PIP) --editable '.[test,full]'
	@touch $@

clean:
	rm -rf $(VENV) demo-output
