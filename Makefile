# make demo      set up and run the default study, offline
# make chat      set up and run the language-model study, offline (tens of minutes)
# make packages  set up and run the study of persons: fetches Debian's package indices with apt (50 MB)
# make test      set up and run every check and test
# make loopback  set up and run a tiny plan on real SuperNodes of this machine, over TLS
# make deployment  break such a deployment: a killed executor, a bundle that is not allowed (4 min)
# make mutants   switch off every check of the protocol in turn: some test must fail
# make crash     kill -9 at random moments: nothing may leave without an entry
# make conformance  run the trainer's self-test 1,000 times: how often is a right one accused?
# make clean     remove what these made

PYTHON ?= python3.11
BIN := .venv/bin

.PHONY: demo chat packages test loopback deployment mutants crash conformance clean setup
.DELETE_ON_ERROR:

demo: .venv/ready-demo
	rm -rf runs/demo
	$(BIN)/stillroom demo --out runs/demo

chat: .venv/ready-language
	rm -rf runs/chat runs/chat-data
	$(BIN)/python -m simulations.chat_data --out runs/chat-data
	$(BIN)/stillroom simulate runs/chat-data/study.toml --out runs/chat

packages: .venv/ready-demo
	rm -rf runs/packages
	$(BIN)/python -m simulations.package_data --out runs/packages-data --fetch
	$(BIN)/stillroom simulate runs/packages-data/study.toml --out runs/packages

test: .venv/ready-dev .venv/ready-demo
	./check

# Six programs with torch: each on one thread.
loopback: .venv/ready-demo
	OMP_NUM_THREADS=1 $(BIN)/python -m simulations.loopback --out runs/loopback

deployment: .venv/ready-demo .venv/ready-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -m deployment

mutants: .venv/ready-dev
	$(BIN)/python -m tests.protocol.mutants

crash: .venv/ready-demo .venv/ready-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.crash

conformance: .venv/ready-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.distillation.faulty_trainers --runs 1000

setup: .venv/ready-dev .venv/ready-demo

.venv/ready: pyproject.toml constraints.txt
	test -d .venv || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -c constraints.txt -e .
	touch $@

.venv/ready-dev: .venv/ready
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@

.venv/ready-demo: requirements-demo.txt .venv/ready
	$(BIN)/python -m pip install --quiet --no-deps -r requirements-demo.txt
	touch $@

.venv/ready-language: requirements-language.txt .venv/ready
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[language]'
	$(BIN)/python -m pip install --quiet --no-deps -r requirements-language.txt
	touch $@

clean:
	rm -rf .venv runs .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache *.egg-info
