# The targets a user needs; `make help` lists them.
SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
RELEASES := .demo/cvmfs/sw.local/lsst
QUICKSIM := $(RELEASES)/quicksim/1.0/quicksim-1.0
QUICKSIM_TINY := $(RELEASES)/quicksim-tiny/1.0/quicksim-tiny-1.0
TEST_PROCESSES := 4
N := 100
SEED := 1
.DEFAULT_GOAL := help

.PHONY: help demo test test-long test-servers test-pilot chaos fuzz check bench generate releases tools clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.demo releases  ## simulate the core of the Virgo cluster: images, catalog entry and a picture in demo-output/
	@$(BIN)/python examples/virgo/demo.py

# Tests with servers and signals have time limits that a busy machine may miss: each failure is tried once more, and shown.
test: $(VENV)/.dev releases  ## run all tests but the long campaigns
	@$(BIN)/python -m compileall -q transformation site_configs quicksim cvmfs_publish submitter pilot_hooks
	$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder --reruns 1

test-long: $(VENV)/.dev releases  ## slow tests that `make test` leaves out, mostly more cases; minutes
	$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder --reruns 1 -m long

test-servers: $(VENV)/.dev releases  ## only the tests with real XRootD and Rucio servers
	$(BIN)/python -m pytest tests/servers tests/conformance

test-pilot: $(VENV)/.dev  ## the job inside the real PanDA pilot (PyPI); minutes
	$(BIN)/python -m pytest --reruns 1 tests/pilot

chaos: $(VENV)/.dev releases  ## run N whole jobs under faults drawn at random: make chaos N=1000 SEED=1 [RECORD=FILE]
	$(BIN)/python -m tests.chaos --cases $(N) --seed $(SEED) $(if $(RECORD),--record $(RECORD))

fuzz: $(VENV)/.dev releases  ## bad input: N new examples of each kind: make fuzz N=5000
	IOD_FUZZ=$(N) $(BIN)/python -m pytest -n $(TEST_PROCESSES) tests/bad_input -k fuzz

check: $(VENV)/.dev  ## lint, format, types, imports, shell scripts, generated files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	git ls-files -z '*.sh' '.ci/run' | xargs -0 $(BIN)/shellcheck
	$(BIN)/codespell
	$(BIN)/python docs/generate.py --check

bench: $(VENV)/.dev releases  ## measure: a table, and bench-output/bench.json
	$(BIN)/python -m benchmarks

generate: $(VENV)/.dev  ## rewrite what is generated from the code: tables in README and docs/reference
	$(BIN)/python docs/generate.py

releases: $(QUICKSIM)/release.json $(QUICKSIM_TINY)/release.json  ## build the simulator releases into .demo/cvmfs

$(QUICKSIM)/release.json: $(wildcard quicksim/*.py cvmfs_publish/*.py) | $(VENV)/.demo
	$(BIN)/iod-publish build quicksim --root $(RELEASES)

$(QUICKSIM_TINY)/release.json: $(wildcard quicksim/*.py cvmfs_publish/*.py) | $(VENV)/.demo
	$(BIN)/iod-publish build quicksim-tiny --root $(RELEASES)

$(VENV)/.demo: pyproject.toml | tools
	@test -x $(BIN)/python || python3 -m venv $(VENV)
	@echo "installing the package and the simulator's libraries into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[quicksim,examples]'
	@# An editable install leaves compiling to the first start; a job's start should not pay for it.
	@$(BIN)/python -m compileall -q transformation site_configs cvmfs_publish submitter pilot_hooks
	@touch $@

$(VENV)/.dev: pyproject.toml $(VENV)/.demo
	@echo "installing what tests and checks need into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[quicksim,examples,test,dev]'
	@touch $@

tools:
	@sh .ci/need-tools

clean:  ## remove everything that make has made, the images of the demo included
	rm -rf $(VENV) .demo demo-output bench-output
