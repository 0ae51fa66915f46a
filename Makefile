# Homeward's verbs. `make help` lists them; `make run` and `make test` are the two that matter.
PYTHON ?= python3
PORT ?= 8080
MINUTES ?= 10
EACH ?= 20
SEED ?= 1
BIN := .venv/bin
STAMP := .venv/.installed

# byte code is kept wherever make starts Python: tests and benches start hundreds of processes
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup browser run test check format conformance bench bench-peers soak mutants audit sbom lock clean

help: ## list the verbs
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(STAMP) ## install everything into .venv (idempotent)

$(STAMP): requirements.txt requirements-dev.txt requirements-setup.txt pyproject.toml tools/setup.sh
	@PYTHON=$(PYTHON) sh tools/setup.sh
	@touch $@

browser: ## install a Chromium and axe-core for the page tests, where apt and npm can run
	@sh tools/browser.sh

run: setup ## set everything up and serve on PORT (default 8080) with the simulated street
	@$(BIN)/homeward serve --port $(PORT)

test: setup browser check ## set everything up and run every test
	$(BIN)/python -m pytest -q -n 2 -m "not slow"
	$(BIN)/python -m pytest -q -n 2 --dist loadfile -m slow

check: setup ## format, lint, strict types, import rules, house rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/test_house.py

format: setup ## rewrite the code in the house's format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

conformance: setup ## hold every carrier request and stand-in answer against the official specs (needs ../shared/specs)
	HOMEWARD_CONFORMANCE=required $(BIN)/python -m pytest -q tests/test_conformance.py -s

bench: setup ## measure every path against its floor
	$(BIN)/python -m bench all

bench-peers: setup ## compare with karrio's parser and server, installed beside it in a throw-away environment
	@test -x build/peers/bin/python || $(PYTHON) -m venv build/peers
	@build/peers/bin/python -m pip install -q --disable-pip-version-check karrio karrio-ups karrio-usps huey \
	  karrio-server $(addprefix karrio-server,-manager -pricing -orders -events -graph -proxy)
	$(BIN)/python -m bench.peers build/peers/bin/python

soak: setup ## run every proof for MINUTES (default 10); from 120 on with 5,000 kills and a million parcels
	$(BIN)/python -m proof all --minutes $(MINUTES)

mutants: setup ## mutate the pure modules, 20 mutants each (EACH, SEED), in a throw-away environment, and print the score
	@test -x build/mutmut/bin/python || $(PYTHON) -m venv build/mutmut
	@build/mutmut/bin/python -m pip install -q --disable-pip-version-check -r requirements.txt -r requirements-dev.txt
	@build/mutmut/bin/python -m pip install -q --disable-pip-version-check "mutmut==3.8.1"
	build/mutmut/bin/python tools/mutants.py --each $(EACH) --seed $(SEED)

audit: setup ## look for known weaknesses in what is locked (needs the advisories: says so where it cannot reach them)
	@$(BIN)/python tools/audit.py

sbom: setup ## write the bill of materials (CycloneDX) to build/sbom.json
	@mkdir -p build
	@$(BIN)/cyclonedx-py requirements requirements.txt --output-format JSON --output-file build/sbom.json
	@echo "build/sbom.json: $$($(BIN)/python -c 'import json; print(len(json.load(open("build/sbom.json"))["components"]))') components"

lock: setup ## resolve the dependencies anew (versions and hashes, no index address)
	@for f in requirements requirements-dev requirements-setup; do \
	  $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header $$f.in -o $$f.txt; done

clean: ## remove the environment and everything built
	rm -rf .venv build data
