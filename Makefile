# make train   environment + the quickstart recipe, end to end
# make test    environment + the whole test suite
# make lint    ruff and types
# make lock    renews requirements.lock from setup.py

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
READY := $(VENV)/.ready

.PHONY: train test lint lock test-jax env clean

train: $(READY)
	bin/train --flagfile=quickstart.flags

test: $(READY)
	$(VENV)/bin/python -m pytest --numprocesses=2 --dist=loadfile --no-loadscope-reorder

test-jax: $(READY)
	bin/test-jax

lint: $(READY)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy vq_vae_tf

env: $(READY)

$(READY): requirements.lock setup.py
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --requirement requirements.lock
	$(VENV)/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $(READY)

lock:
	$(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/python -m pip install --quiet --requirement requirements.in --editable ".[audio,video,vizdoom,dev]"
	$(VENV)-lock/bin/python -m pip freeze --exclude-editable > requirements.lock
	rm -r $(VENV)-lock

clean:
	rm -rf $(VENV) $(VENV)-lock *.egg-info
