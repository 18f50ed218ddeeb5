# Each target calls one tool and does its own set-up. `make demo` runs the whole runbook on the sandbox,
# `make test` runs every test.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test lint bench faults report soak lab app browser programs venv-package lock clean sandbox-up sandbox-down
.DELETE_ON_ERROR:

demo: sandbox-up
	$(BIN)/python -m sandbox exec --prefix RUNBOOK_ -- $(BIN)/python -m runbook_lib run --run-image

# A file stays on one worker; in the order of their names, for the browser's long ones come first then.
test: $(STAMP) lint browser programs
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/nbstripout --verify --keep-id notebooks/*.ipynb

$(STAMP): requirements.txt requirements-dev.txt requirements-uv.txt pyproject.toml
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "Python 3.11 or newer is needed; set PYTHON="'
	$(PYTHON) -c 'import ensurepip' 2>/dev/null || $(MAKE) --no-print-directory venv-package
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --require-hashes -r requirements-uv.txt
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install -q --require-hashes -r requirements.txt -r requirements-dev.txt
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install -q --no-deps --no-build-isolation -e .
	$(BIN)/jupyter labextension disable --level=sys_prefix @voila-dashboards/jupyterlab-preview
	$(BIN)/jupyter labextension disable --level=sys_prefix @jupyterlab/apputils-extension:announcements
	touch $@

# Debian and Ubuntu pack what makes a virtual environment apart from Python, by Python's version.
VENV_PACKAGE = $(shell $(PYTHON) -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
venv-package:
	apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(VENV_PACKAGE) || \
	  { echo "error: $(PYTHON) cannot make a virtual environment (no ensurepip)"; \
	    echo "  remedy: as root: apt-get install $(VENV_PACKAGE), or make PYTHON=<another Python>"; exit 1; } >&2

bench: $(STAMP)
	$(BIN)/python bench/sandbox_life.py
	$(BIN)/python bench/pod_ready.py
	$(BIN)/python bench/whole_run.py
	$(BIN)/python -m sandbox reset --instance bench

# 1,000 kills of writers of the docker config; then every fault at every step and phase, three parts side by side:
# most of a case is waiting. ROUNDS=3 for more; ONLY="test_push apply" for some; ROUNDS=5 UPTO=5 for what is missing
# to five good rounds of each. Results add up in the user's state folder: make report.
ROUNDS ?= 1
UPTO ?= 0
faults: $(STAMP)
	$(BIN)/python tests/faults/config_file.py
	for k in 1 2 3; do \
	  $(BIN)/python tests/faults/run.py --rounds $(ROUNDS) --upto $(UPTO) --only $(ONLY) --shard $$k/3 --instance faults$$k & \
	  parts="$$parts $$!"; \
	done; \
	code=0; for part in $$parts; do wait $$part || code=1; done; exit $$code

# docs/faults.md, from the records beside it and from what make faults and make soak have added up since then.
report: $(STAMP)
	$(BIN)/python tests/faults/report.py

# RUNS whole runs in a row, as many rounds of the guided page's work in one process, then 50 builds at once.
RUNS ?= 200
soak: $(STAMP)
	$(BIN)/python tests/faults/soak.py --runs $(RUNS) --page $(RUNS)

# What the sandbox runs; the first time this takes as long as building Kubernetes does.
programs: $(STAMP)
	$(BIN)/python -m sandbox.build --quiet

# The address that it prints holds the token. Behind a proxy: make lab LAB="--ServerApp.base_url=/some/path/"
# The layout is a workspace of its own, made anew each time; the reader's other workspaces stay as they are.
lab: $(STAMP)
	$(BIN)/jupyter lab workspaces import guided.jupyterlab-workspace
	$(BIN)/jupyter lab --config=jupyter_lab_config.py $(LAB)

# The guided page alone, without cells or code, by Voila. Only this one notebook is served: Voila runs what it shows.
app: $(STAMP)
	$(BIN)/voila --Voila.ip=127.0.0.1 --token --no-browser --VoilaConfiguration.show_tracebacks=False \
		$(APP) notebooks/00_start_here.ipynb

# What tests/browser needs beside Python packages. Debian: its own Chromium is used, nothing else is downloaded.
browser: /usr/bin/chromium

/usr/bin/chromium:
	apt-get update -qq
	apt-get install -y -qq --no-install-recommends chromium fonts-noto-cjk fonts-dejavu-core

sandbox-up: $(STAMP)
	$(BIN)/python -m sandbox up

sandbox-down: $(STAMP)
	$(BIN)/python -m sandbox down

lock:
	for name in requirements requirements-dev requirements-uv; do \
		$(BIN)/uv pip compile -q --no-header --generate-hashes --upgrade $$name.in -o $$name.txt || exit 1; done

clean:
	rm -rf $(VENV) build .mypy_cache .ruff_cache .pytest_cache
