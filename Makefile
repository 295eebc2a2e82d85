# Each target creates what it needs; nothing is assumed but Python 3.11+, pip, make and git.
.DEFAULT_GOAL := help
.PHONY: help demo test lint format docs reference bench bench-detection bench-migrate harden lock clean venv
.PHONY: test-extras test-core test-extras-forking test-core-forking
.DELETE_ON_ERROR:

BIN  := .venv/bin
# Test-runner arguments, e.g. make test ARGS="-k seal".
ARGS ?=
# So many runs of tests beside each other; what one prints comes when it ends, unless it is 1.
JOBS ?= 2
# What the arguments select may all be in one of the runs; pytest's code 5 says that there was none.
NONE_FOUND = $(if $(ARGS),|| test $$? -eq 5)
# What is the same with and without the extras runs once, without; suites of an extra run with it.
ONCE = -m "not bare or extras"
UV   := uv==0.13.8

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | sort

demo: .venv/.installed ## harden the example service and show attacks before and after
	$(BIN)/python examples/demo.py

# The longest run first. Every run comes to its end, and any that fails makes this fail.
test: .venv/.installed .venv-core/.installed ## run every test, with the extras and with none installed
	@$(MAKE) --no-print-directory --keep-going --jobs=$(JOBS) \
	    $(if $(filter output-sync,$(.FEATURES)),$(if $(filter-out 1,$(JOBS)),--output-sync=target)) \
	    test-extras test-core test-extras-forking test-core-forking

test-extras: .venv/.installed
	$(BIN)/python -m pytest --forking without $(ONCE) $(ARGS) $(NONE_FOUND)

test-extras-forking: .venv/.installed
	$(BIN)/python -m pytest --forking only $(ONCE) $(ARGS) $(NONE_FOUND)

test-core: .venv-core/.installed
	.venv-core/bin/python -m pytest --no-extras --forking without $(ARGS) $(NONE_FOUND)

test-core-forking: .venv-core/.installed
	.venv-core/bin/python -m pytest --no-extras --forking only $(ARGS) $(NONE_FOUND)

lint: .venv/.installed ## style, types, layers, spelling
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell

format: .venv/.installed ## apply the formatter and the fixes that ruff calls safe
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: .venv/.installed ## build the documentation into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

reference: .venv/.installed ## write the generated pages of docs/reference
	$(BIN)/python scripts/reference.py

bench: .venv/.installed ## measure against plain calls and against peers
	$(BIN)/python -m bench

bench-detection: .venv/.installed .venv-peers/.locked .venv-middle/.locked .venv-older/.locked ## write docs/explanation/detection.md: what peers detect, and what we do
	$(BIN)/python -m bench.detection

bench-migrate: .venv/.installed .venv-migrated/.installed ## migrate libraries that persist objects: their own tests must pass as before
	$(BIN)/python -m bench.migrate $(ARGS)

# Exit code 1 means findings, which is what one runs this for: only an error stops make.
harden: .venv/.installed ## harden your own checkout: make harden APP=DIR [REPORT=DIR] [WRITE=1]
	@test -n "$(APP)" || \
	    { echo "name the checkout: make harden APP=DIR [REPORT=DIR] [WRITE=1]" >&2; exit 2; }
	$(BIN)/safehold harden "$(APP)" $(if $(REPORT),--report "$(REPORT)") \
	    $(if $(filter 1,$(WRITE)),--write) || test $$? -eq 1

lock: .venv-lock/.installed ## write requirements/*.txt anew, without releases of the last week
	cd requirements && for name in core dev pip peers middle older migrated; do \
	    ../.venv-lock/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 \
	        --generate-hashes --no-header --no-emit-index-url --no-emit-find-links \
	        --exclude-newer '7 days' $$name.in --output-file $$name.txt \
	    || exit; done

clean: ## remove environments, caches and what was built
	rm -rf .venv .venv-core .venv-lock .venv-peers .venv-middle .venv-older .venv-migrated build site var src/*.egg-info
	rm -f src/safehold/guard/_native.*.so
	rm -rf .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find src tests scripts bench examples -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true

venv: .venv/.installed

# python3.11 if there is one, else any python3 that is new enough. A name on PATH may be a
# launcher for a version that is not there, so each is asked.
define new_venv
	@for python in python3.11 python3 python3.12 python3.13 python3.14; do \
	    if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
	        exec $$python -m venv $(@D); \
	    fi; \
	done; \
	echo "safehold needs Python 3.11 or newer: none of python3.11, python3, python3.12," \
	     "python3.13, python3.14 on PATH is" >&2; exit 1
endef

# No build isolation: the build backend comes from the lock too.
INSTALL_SAFEHOLD = $(@D)/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .

.venv/.locked: requirements/dev.txt requirements/pip.txt
	$(new_venv)
	$(@D)/bin/python -m pip install --quiet --require-hashes -r requirements/pip.txt
	$(@D)/bin/python -m pip install --quiet --require-hashes -r $<
	@touch $@

# The editable installation leaves what it builds in C beside the source, for each version of Python.
NATIVE = $(addprefix src/safehold/guard/,_native.c _entries.c _native.h)

.venv/.installed: .venv/.locked pyproject.toml setup.py src/safehold/_version.py $(NATIVE)
	$(INSTALL_SAFEHOLD)
	@touch $@

.venv-core/.locked: requirements/core.txt requirements/pip.txt
	$(new_venv)
	$(@D)/bin/python -m pip install --quiet --require-hashes -r requirements/pip.txt
	$(@D)/bin/python -m pip install --quiet --require-hashes -r $<
	@touch $@

# The environment of bench-migrate: what the tests of the libraries import.
.venv-migrated/.locked: requirements/migrated.txt requirements/pip.txt
	$(new_venv)
	$(@D)/bin/python -m pip install --quiet --require-hashes -r requirements/pip.txt
	$(@D)/bin/python -m pip install --quiet --require-hashes -r $<
	@touch $@

# Environments of bench-detection, without safehold.
.venv-peers/.locked .venv-middle/.locked .venv-older/.locked: .venv-%/.locked: requirements/%.txt requirements/pip.txt
	$(new_venv)
	$(@D)/bin/python -m pip install --quiet --require-hashes -r requirements/pip.txt
	$(@D)/bin/python -m pip install --quiet --require-hashes -r $<
	@touch $@

.venv-core/.installed .venv-migrated/.installed: %/.installed: %/.locked pyproject.toml setup.py src/safehold/_version.py $(NATIVE)
	$(INSTALL_SAFEHOLD)
	@touch $@

.venv-lock/.installed: Makefile
	$(new_venv)
	$(@D)/bin/python -m pip install --quiet '$(UV)'
	@touch $@
