# A fresh machine needs python3 (3.11 or newer) for everything; go, mvn and java for the runners in `make test`.
PYTHON ?= python3
PYTEST_WORKERS ?= 2

BIN := .venv/bin
CODE := beam_pipelines benchmarks examples scripts templates tests setup.py
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
  --no-emit-index-url --no-emit-find-links
# What the image has beside the package's own needs: what pipelines on Dataflow read from and write to.
IMAGE_EXTRAS := --extra amqp --extra delta --extra iceberg --extra kafka --extra mqtt --extra postgresql --extra prometheus --extra redis --extra sql
# Installed once for each content of the lock and of the package's metadata.
INSTALLED := .venv/installed-$(shell cat requirements.txt setup.py pyproject.toml | cksum | tr ' ' '-')

# Some machines set it; without .pyc files importing Beam takes 6 CPU seconds instead of 2, in each of many processes.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo test conformance soak runners servers lint format typecheck bench bench-quick generated lock clean

help:  ## show what there is to make
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(INSTALLED)  ## make .venv with everything that requirements.txt pins

$(INSTALLED):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=…")'
	$(PYTHON) -m venv .venv
	@# pip 23 refuses a locked package that another one asks for with an extra, so uv installs; pip brings uv.
	@awk '/^uv==/ {wanted = 1} wanted {print} wanted && !/\\$$/ {exit}' requirements.txt > .venv/uv.txt
	$(BIN)/python -m pip install --quiet --require-hashes --no-deps --requirement .venv/uv.txt
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes --requirement requirements.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@rm -f .venv/installed-*
	@touch $@

demo: setup  ## run event_analytics on real flights and look at the result
	@$(BIN)/python -m examples.flights.demo

test: setup lint typecheck runners servers  ## pass every check and test
	@$(BIN)/python -m pytest --quiet --numprocesses $(PYTEST_WORKERS) --dist loadfile

conformance: setup  ## run all transforms and pipelines on every runner, or on one: RUNNER=prism
	@$(BIN)/python -m pytest --quiet tests/conformance --numprocesses $(PYTEST_WORKERS) --dist loadfile \
	  $(if $(RUNNER),--on $(RUNNER))

soak: setup servers  ## kill workers, brokers and networks many times and write docs/guarantees.md's tables: some four hours
	@$(BIN)/python -m tests.recovery.soak
	@$(BIN)/python -m tests.recovery.kafka_soak
	@BEAM_PIPELINES_MOMENTS=20 $(BIN)/python -m pytest -q tests/sink/tables/test_kills.py

runners: setup  ## install Prism, Flink and Spark outside the checkout, unless they are left out
	@test -n "$$BEAM_PIPELINES_NO_PRISM" || $(BIN)/python -m scripts.prism
	@test -n "$$BEAM_PIPELINES_NO_FLINK" || $(BIN)/python -m scripts.flink install
	@test -n "$$BEAM_PIPELINES_NO_FLINK" || $(BIN)/python -m scripts.flink_cluster install
	@test -n "$$BEAM_PIPELINES_NO_SPARK" || $(BIN)/python -m scripts.spark install

servers: setup  ## install the servers that tests start, outside the checkout, unless they are left out
	@test -n "$$BEAM_PIPELINES_NO_SERVERS" || $(BIN)/python -m scripts.kafka install
	@test -n "$$BEAM_PIPELINES_NO_SERVERS" || $(BIN)/python -m scripts.pubsub install
	@test -n "$$BEAM_PIPELINES_NO_SERVERS" || $(BIN)/python -m scripts.toxiproxy install
	@test -n "$$BEAM_PIPELINES_NO_SERVERS" || $(BIN)/python -m scripts.kinesalite install
	@test -n "$$BEAM_PIPELINES_NO_SERVERS" || $(BIN)/python -m scripts.azurite install
	@test -n "$$BEAM_PIPELINES_NO_SERVERS" || $(BIN)/python -m scripts.hdfs install
	@test -n "$$BEAM_PIPELINES_NO_SERVERS" || $(BIN)/python -m scripts.bigquery install
	@test -n "$$BEAM_PIPELINES_NO_SERVERS" || $(BIN)/python -m scripts.debian
	@test -n "$$BEAM_PIPELINES_NO_SERVERS" || $(BIN)/python -m scripts.hclfmt
	@test -n "$$BEAM_PIPELINES_NO_SERVERS" || $(BIN)/python -m scripts.flink_operator
	@test -n "$$BEAM_PIPELINES_NO_SERVERS" || $(BIN)/python -m scripts.image install

lint: setup  ## find what ruff objects to
	@$(BIN)/ruff check --quiet $(CODE)
	@$(BIN)/ruff format --quiet --check $(CODE)

format: setup  ## format the code, mend what can be mended
	@$(BIN)/ruff check --quiet --fix $(CODE) || true
	@$(BIN)/ruff format $(CODE)

typecheck: setup  ## check types, strictly
	@$(BIN)/mypy beam_pipelines scripts examples

bench: setup  ## measure all workloads beside other engines, for hours; writes BENCHMARKS.md
	@$(BIN)/python -m benchmarks

bench-quick: setup  ## measure some with few rows, once: under ten minutes on an idle machine
	@$(BIN)/python -m benchmarks --quick

generated: setup  ## write what derives from the pipelines' options: templates/*/ and docs/reference
	@$(BIN)/python -m scripts.generated

lock: setup  ## resolve the pins and hashes of requirements.txt and of the image again
	@$(COMPILE) setup.py --extra dev --upgrade --output-file requirements.txt
	@$(COMPILE) setup.py $(IMAGE_EXTRAS) --constraint requirements.txt --upgrade --output-file templates/requirements.txt
	@$(COMPILE) templates/build-requirements.in --upgrade --output-file templates/build-requirements.txt

clean:  ## remove what was made, but not the runners in the cache
	rm -rf .venv build dist demo *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
