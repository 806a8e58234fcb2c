# make demo   a first build, from nothing to a running container
# make test   everything that is checked; installs what it needs when root
# The rest is in CONTRIBUTING.md.

VENV := .venv
BIN := $(VENV)/bin
# The folder that holds conformance/ and bench/, which are no part of this repository.
SHARED := $(or $(PYBUILD_SHARED),../shared)

# compat: a line in a .pth file; the other kind imports a finder, which costs each start 11 ms.
INSTALL := $(BIN)/python -m pip install --quiet --config-settings editable_mode=compat --editable

# Without bytecode each start of the program compiles it anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test lint format conformance bench clean

help:
	@echo "make demo         build, run, change, rebuild and commit fixtures/hello"
	@echo "make test         the whole test suite"
	@echo "make lint         formatting, lint, types and imports"
	@echo "make format       mend what ruff can mend"
	@echo "make conformance  the black-box Dockerfile cases (CASES='-k copy/' for some)"
	@echo "make bench        the workloads beside buildah (BENCH='--only W1,W2' for some)"
	@echo "make clean        remove the virtual environment and the tools' caches"

demo: $(VENV)/installed
	@bash docs/tutorial/first-build.sh $(BIN)/pybuild

test: $(VENV)/installed-test
	@bash .ci/packages test
	@$(BIN)/python tests/run.py

lint: $(VENV)/installed-test
	@$(BIN)/python -m pytest -q tests/architecture

format: $(VENV)/installed-test
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

conformance: $(VENV)/installed-test
	@bash .ci/packages conformance
	@$(BIN)/python $(SHARED)/conformance/run.py --builder pybuild --command $(CURDIR)/$(BIN)/pybuild $(CASES)

bench: $(VENV)/installed-test
	@bash .ci/packages bench
	@$(BIN)/python tests/bench/run.py $(BENCH)

$(VENV)/installed: pyproject.toml
	@bash .ci/venv $(VENV)
	@$(INSTALL) .
	@touch $@

$(VENV)/installed-test: pyproject.toml
	@bash .ci/venv $(VENV)
	@$(INSTALL) '.[test,lint]'
	@touch $@ $(VENV)/installed

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
