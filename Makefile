# make serve, make test: each installs what it needs into .venv, once.
PYTHON ?= python3
PORT ?= $(or $(THIMBLE_HTTP_PORT),8000)
VENV := .venv
BIN := $(VENV)/bin
PINS := pyproject.toml constraints.txt
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
HASHES := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --constraint constraints.txt --no-annotate \
	--generate-hashes --custom-compile-command 'make pins' --output-file
TSC := node_modules/.bin/tsc
COVERAGE := --cov --cov-report=term
AGAIN := --reruns 1 --only-rerun "worker '.*' crashed" # not tests that fail
SAMPLE := tests/images/ankle-boot.png
export PYTHONDONTWRITEBYTECODE := # set in many containers, it has each process compile the tests and the service anew

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: serve
serve: $(VENV)/serving ## serve the models on http://127.0.0.1:8000; PORT= for another port
	@echo "Once it is ready, try: curl --data-binary @$(SAMPLE) http://127.0.0.1:$(PORT)/classify"
	@exec $(BIN)/python -m serving --port $(PORT)

.PHONY: install
install: $(VENV)/everything ## install everything into .venv

.PHONY: check
check: $(VENV)/everything ## lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/bandit --quiet --configfile pyproject.toml -ll --recursive serving training benchmarks docs
	$(BIN)/mypy
	$(BIN)/hadolint Dockerfile
	@if [ -x $(TSC) ]; then $(TSC); else echo "The page's types are not checked: npm install brings tsc."; fi

.PHONY: test
test: $(VENV)/everything ## all tests, with branch coverage
	$(BIN)/python -m pytest -n auto --dist worksteal $(COVERAGE) $(AGAIN)

.PHONY: test-fast
test-fast: $(VENV)/everything ## the tests that train nothing, in under a minute
	$(BIN)/python -m pytest -n auto --dist worksteal -m 'not trains'

.PHONY: bench
bench: $(VENV)/everything ## measure what an image costs, model by model
	$(BIN)/python -m benchmarks.latency

.PHONY: soak
soak: $(VENV)/everything ## 200,000 mixed requests: each answer compared, memory watched
	$(BIN)/python -m benchmarks.faults.soak

.PHONY: fuzz
fuzz: $(VENV)/everything ## hostile uploads: no failure of the service, no worker dies
	$(BIN)/python -m benchmarks.faults.fuzz
	@if $(PIP) install --group fuzz; then $(BIN)/python -m benchmarks.faults.guided; \
	else echo "atheris cannot be installed here: nothing is fuzzed by coverage."; fi

.PHONY: chaos
chaos: $(VENV)/everything ## kill, stop and starve a service under load: no request is lost
	$(BIN)/python -m benchmarks.faults.chaos

.PHONY: pins
pins: $(VENV)/everything ## pin what the image installs, with hashes, in deploy/image
	sed -n 's/^requires = \["\(.*\)"\]/\1/p' pyproject.toml | $(HASHES) deploy/image/build.txt -
	$(HASHES) deploy/image/requirements.txt pyproject.toml
	$(HASHES) deploy/image/signing.txt --extra signing pyproject.toml

.PHONY: sbom
sbom: $(VENV)/serving ## list packages and models in build/sbom.cdx.json (CycloneDX)
	@mkdir -p build
	$(BIN)/python -m serving.sbom > build/sbom.cdx.json

.PHONY: screenshots
screenshots: $(VENV)/everything ## the page in each state, from a running service: URL=http://127.0.0.1:8000
	$(BIN)/python docs/screenshots.py $(URL)

.PHONY: image
image: ## build the container image
	docker build -t thimble .

.PHONY: clean
clean: ## remove .venv and what tools left behind
	rm -rf $(VENV) build *.egg-info .coverage* .mypy_cache .pytest_cache .ruff_cache

$(VENV)/serving: $(PINS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --constraint constraints.txt --editable .
	@touch $@

$(VENV)/everything: $(VENV)/serving
	$(PIP) install --upgrade --constraint constraints.txt pip
	$(PIP) install --constraint constraints.txt --group dev --editable '.[training,backbones,tensorboard,otel,signing]'
	@touch $@
