# Short recipes; each can also be typed by hand. `make help` lists them.

PYTHON ?= python3
# An environment that has everything already may be named: make test PYTHON_ENV=~/my-venv
TEST_ENV := $(or $(PYTHON_ENV),.venv-test)
TEST_STAMP := $(if $(PYTHON_ENV),,.venv-test/.installed)
PIP_FLAGS := --quiet --disable-pip-version-check
METADATA := setup.cfg pyproject.toml
SOURCES := $(METADATA) $(wildcard kws/*.py kws/*/*.py training/*.py training/*/*.py) \
	$(wildcard training/recipes/*.toml firmware_models/*.*)
DEMO := firmware_models/demo.wav
# Three quick files of tests at a time (live ones mostly wait), two slow ones. PYTEST_ARGS=-n0 runs
# one after the other.
SIDE_BY_SIDE := --dist loadfile --no-loadscope-reorder
PYTEST_ARGS ?=
BENCH_ARGS ?=
PEERS_ARGS ?=
EQUALITY_ARGS ?=
ARM_ARGS ?=
FUZZ_ARGS ?=
TRAIN_ARGS ?= default-base

# What setup.cfg asks for, but for 32-bit systems, which its markers cannot tell from 64-bit ones.
REQUIREMENTS_32BIT := 'numpy>=1.22,<2' 'tflite-runtime>=2.14,<2.15' 'sounddevice>=0.4.6' \
	'soundfile>=0.12' 'soxr>=0.3.7' 'rich>=13'
is_true = $(PYTHON) -c "import struct, sys; sys.exit(not ($(1)))"
IS_32BIT := struct.calcsize('P') == 4
fail = { echo "make: $(1)" >&2; exit 1; }

.PHONY: help demo test test-all test-env lint type check bench peers arm equality fuzz train clean
.DEFAULT_GOAL := help

help:  ## List the recipes
	@sed -nE 's/^([a-z-]+):.*  ## (.*)/  make \1\t\2/p' Makefile | expand -t 20

demo: .venv/.installed  ## Install into .venv and listen to the bundled recording
	@echo "The ten words in $(DEMO):"
	@.venv/bin/kws-listen --input $(DEMO)
	@echo
	@echo "Now say them yourself:   .venv/bin/kws-listen   (Ctrl-C ends)"
	@.venv/bin/python -c "import sounddevice" 2>/dev/null || \
		echo "The microphone needs PortAudio first:   sudo apt install libportaudio2"

test: test-env  ## Install what the tests need into .venv-test, and run them: every promise and command
	@tests/install_system_packages.sh
	$(TEST_ENV)/bin/python -m pytest -n 3 $(SIDE_BY_SIDE) -m "not slow" $(PYTEST_ARGS)

test-all: test  ## The tests of `make test`, then the slow ones
	$(TEST_ENV)/bin/python -m pytest -n 2 $(SIDE_BY_SIDE) -m slow $(PYTEST_ARGS)

test-env: $(TEST_STAMP)  ## Only install what tests, lint and types need

lint: test-env  ## Check the format and style of the code
	$(TEST_ENV)/bin/ruff format --check .
	$(TEST_ENV)/bin/ruff check .

type: test-env  ## Check the types
	$(TEST_ENV)/bin/mypy

check: lint type  ## All checks that run nothing: lint and type

bench: .venv/.installed  ## Measure the speed of the default model (BENCH_ARGS=...)
	.venv/bin/kws-bench $(BENCH_ARGS)

peers:  ## Measure kws beside other engines, each in its own environment (PEERS_ARGS=...)
	$(PYTHON) bench/peers/run.py --out reports/peers $(PEERS_ARGS)

arm: test-env  ## As on ARM under QEMU: every posterior compared, instructions counted (ARM_ARGS=...)
	$(TEST_ENV)/bin/python bench/arm/run.py --out reports/arm $(ARM_ARGS)

equality:  ## Stream against window form on ten minutes of speech, in both interpreters
	$(PYTHON) tests/check_interpreters.py $(EQUALITY_ARGS)

fuzz: test-env  ## Fuzz audio files, manifests and raw PCM, hours if asked (FUZZ_ARGS="--inputs N")
	PYTHONPATH=tests $(TEST_ENV)/bin/python -m fuzz.run audio --out reports/fuzz/audio $(FUZZ_ARGS)
	PYTHONPATH=tests $(TEST_ENV)/bin/python -m fuzz.run manifest --out reports/fuzz/manifest $(FUZZ_ARGS)
	PYTHONPATH=tests $(TEST_ENV)/bin/python -m fuzz.run pcm --out reports/fuzz/pcm $(FUZZ_ARGS)
	@! ls reports/fuzz/*/finds/* 2>/dev/null

train: test-env  ## Train a model from a recipe (TRAIN_ARGS="default ...")
	$(TEST_ENV)/bin/kws-train fit $(TRAIN_ARGS)

clean:  ## Remove the environments and what builds leave
	rm -rf .venv .venv-test build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache

.venv/bin/python .venv-test/bin/python:
	@command -v $(PYTHON) >/dev/null || $(call fail,no $(PYTHON); sudo apt install python3 python3-venv)
	@$(call is_true,sys.version_info >= (3, 9)) || \
		$(call fail,kws needs Python 3.9 or newer; name one: make PYTHON=python3.11 ...)
	@$(call is_true,sys.version_info < (3, 12) or not $(IS_32BIT)) || \
		$(call fail,a 32-bit system needs Python 3.11 or older (no TFLite runtime beyond); \
		name one: make PYTHON=python3.11 ...)
	@$(PYTHON) -c "import ensurepip, venv" 2>/dev/null || \
		$(call fail,$(PYTHON) has no venv module; sudo apt install python3-venv)
	$(PYTHON) -m venv $(@D:/bin=)
	@$@ -m pip install $(PIP_FLAGS) --upgrade pip

# Installed as users install it; build/ would bring files back that were deleted since.
.venv/.installed: $(SOURCES) | .venv/bin/python
	@echo "installing into .venv; the first time this takes a minute"
	@rm -rf build
	@export PYTHONWARNINGS=ignore; if $(call is_true,$(IS_32BIT)); then \
		.venv/bin/pip install $(PIP_FLAGS) $(REQUIREMENTS_32BIT) && \
		.venv/bin/pip install $(PIP_FLAGS) --no-deps . ; \
	else .venv/bin/pip install $(PIP_FLAGS) . ; fi
	@rm -rf build
	@touch $@

# Editable, so that only a change of the metadata needs a new installation; setuptools warns of
# the flat layout, which is meant. TensorFlow, and so training, needs Python 3.10.
.venv-test/.installed: $(METADATA) | .venv-test/bin/python
	@echo "installing into .venv-test; the first time this takes some minutes"
	@$(call is_true,not $(IS_32BIT)) || \
		$(call fail,the tests need a 64-bit Python: scikit-learn and TensorFlow have no other wheels)
	@extras=eval,train,dev; $(call is_true,sys.version_info >= (3, 10)) || extras=eval,dev; \
		PYTHONWARNINGS=ignore .venv-test/bin/pip install $(PIP_FLAGS) -e ".[$$extras]"
	@touch $@
