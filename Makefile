# Every target sets up what it needs in .venv; nothing outside the repository is changed.
# The peers of the tests (a PACS, DICOM tools, a database) come from deploy/peers/install.sh.
PYTHON ?= python3.11
BIN := .venv/bin
INSTALLED := .venv/.installed
# More workers than cores would measure the tests, not the node; what shares a node shares a worker (tests/support/scheduling.py).
TEST_WORKERS ?= 2

# Figures that docs/reliability.md is made from; git keeps them, so that the counts of long runs add up over machines.
MEASURED := docs/measured
goals faults fuzz api-fuzz bench soak audit: export RADNODE_TEST_RESULTS ?= $(MEASURED)

.PHONY: help setup demo page example test lint conformance catalogue goals reliability bench soak faults faults-cluster fuzz api-fuzz audit lock sbom docs peers clean

help:
	@echo 'make setup   install radnode and its tools in .venv'
	@echo 'make demo    a synthetic chest CT through the whole node, in about a minute'
	@echo 'make page    the same, and the node stays: its page in your browser, from the first login to a result'
	@echo 'make example trains the model that comes with radnode anew, in some minutes, and measures it'
	@echo 'make lint    style, types and import contracts'
	@echo 'make test    everything CI runs (deploy/peers/install.sh gets the real peers)'
	@echo 'make faults  the long runs of kills, histories, zombies, send faults; hours, or as RADNODE_TEST_* say'
	@echo 'make faults-cluster  the same tests on two receivers, PostgreSQL and Ray; a quarter of an hour, or as RADNODE_TEST_* say'
	@echo 'make fuzz    each fuzzer for RADNODE_FUZZ_SECONDS (1800); what it learns stays in .fuzz/'
	@echo 'make api-fuzz  RADNODE_API_CALLS (10000) random calls of the HTTP interface as each role'
	@echo 'make conformance  every result form over every source and validator; docs/conformance.md'
	@echo 'make catalogue    every bad input that has a test; docs/catalogue.md'
	@echo 'make goals       the tests that show a goal together, counted'
	@echo 'make reliability  what make goals, catalogue, faults, fuzz, api-fuzz, bench and soak measured (docs/measured), against the goals; docs/reliability.md'
	@echo 'make bench   intake, answers, restart, replay, models measured; docs/measured, plots and the rest in bench-results/'
	@echo 'make soak    a node under load for RADNODE_TEST_SOAK_MINUTES (480), once without kills and once with'
	@echo 'make lock    what an installation may consist of, with hashes; deploy/requirements.lock'
	@echo 'make audit   known vulnerabilities of what is locked, against deploy/vulnerabilities.yaml; asks osv.dev'
	@echo 'make docs    this documentation as pages, to be read without internet; site/index.html'
	@echo 'make sbom    the same as a CycloneDX bill of materials; dist/radnode.cdx.json'

setup: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,postgresql]'
	touch $@

demo: setup
	$(BIN)/radnode demo --exit --output radnode-demo

page: setup
	$(BIN)/radnode demo --output radnode-demo

example: setup
	$(BIN)/python pipelines/examples/phantom_lungs/train.py

lint: setup
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: setup
	$(BIN)/python -m pytest -n $(TEST_WORKERS) --ignore=tests/bench

faults: export RADNODE_TEST_SEND_FAULTS ?= 500
faults: setup
	RADNODE_TEST_KILLS=$${RADNODE_TEST_KILLS:-1000} RADNODE_TEST_HISTORIES=$${RADNODE_TEST_HISTORIES:-20000} \
	RADNODE_TEST_ZOMBIES=$${RADNODE_TEST_ZOMBIES:-1000} $(BIN)/python -m pytest tests/faults

faults-cluster: export RADNODE_TEST_RESULTS ?= $(MEASURED)/cluster
faults-cluster: setup
	RADNODE_TEST_CLUSTER=1 $(BIN)/python -m pytest tests/faults

fuzz: setup
	$(BIN)/python tests/fuzz/run.py --seconds $${RADNODE_FUZZ_SECONDS:-1800} --workers $$(nproc) --corpus .fuzz/corpus --findings .fuzz/findings

api-fuzz: setup
	$(BIN)/python tests/fuzz/api.py --calls $${RADNODE_API_CALLS:-10000}

conformance: setup
	-$(BIN)/python -m pytest tests/browser tests/conformance/test_ohif_importer.py tests/conformance/test_rtstruct.py \
		tests/integration/test_result_forms_in_orthanc.py --junit-xml=.viewers.xml
	$(BIN)/python tests/conformance/table.py --junit .viewers.xml

catalogue: setup
	-$(BIN)/python -m pytest -n $(TEST_WORKERS) --ignore=tests/bench -m catalogue --junit-xml=.catalogue.xml
	RADNODE_TEST_RESULTS=$${RADNODE_TEST_RESULTS:-$(MEASURED)} $(BIN)/python tests/catalogue/trace.py .catalogue.xml

goals: export RADNODE_TEST_SERIES ?= 500
goals: setup
	$(BIN)/python -m pytest -n $(TEST_WORKERS) --ignore=tests/bench -m goal

reliability: setup
	$(BIN)/python tests/faults/report.py

bench: setup
	$(BIN)/python tests/bench/ingest.py --out bench-results
	$(BIN)/python tests/bench/latency.py --out bench-results
	$(BIN)/python tests/bench/segmentation.py --out bench-results
	$(BIN)/python tests/bench/against_monai.py --out bench-results
	$(BIN)/python tests/bench/study_queue.py --out bench-results
	$(BIN)/python tests/bench/mammography.py --out bench-results
	$(BIN)/python tests/bench/simulation.py --out bench-results
	$(BIN)/python tests/bench/ledger_balance.py
	$(BIN)/python tests/bench/answers.py
	$(BIN)/python tests/bench/restart.py
	$(BIN)/python tests/bench/ray_overhead.py
	$(BIN)/python tests/bench/qido.py
	$(BIN)/python tests/bench/wado.py
	$(BIN)/python tests/bench/replay.py
	$(BIN)/python -m pytest tests/faults/test_attack.py
	$(BIN)/python tests/bench/pages.py
	$(BIN)/python tests/bench/newcomer.py
	$(BIN)/python -m pytest tests/bench -s

soak: export RADNODE_TEST_SOAK_MINUTES ?= 480
soak: setup
	$(BIN)/python tests/bench/soak.py
	$(BIN)/python tests/bench/soak.py --kill-every 60

lock: setup
	$(BIN)/uv pip compile pyproject.toml --extra postgresql --constraints constraints.txt --generate-hashes --quiet \
		--universal --python-version 3.11 --custom-compile-command 'make lock' -o deploy/requirements.lock
	printf 'hatchling\n' | $(BIN)/uv pip compile - --constraints constraints.txt --generate-hashes --quiet --universal \
		--python-version 3.11 --custom-compile-command 'make lock' -o deploy/build.lock
	printf 'ray\n' | $(BIN)/uv pip compile - --constraints constraints.txt --generate-hashes --quiet --universal \
		--python-version 3.11 --custom-compile-command 'make lock' -o deploy/ray.lock
	mkdir -p build && $(BIN)/python -m pip download --quiet --no-deps --dest build "torch==$$(grep -oP '^torch==\K[^ ]+' deploy/requirements.lock)+cpu"
	$(BIN)/python deploy/lock_cpu.py deploy/requirements.lock build/torch-*+cpu-*.whl >build/requirements-cpu.lock
	mv build/requirements-cpu.lock deploy/requirements-cpu.lock

sbom: setup
	mkdir -p dist
	$(BIN)/cyclonedx-py requirements deploy/requirements.lock --pyproject pyproject.toml --mc-type application \
		--output-reproducible --of JSON -o dist/radnode.cdx.json

audit: setup
	$(BIN)/python tests/bench/vulnerabilities.py

docs: setup
	$(BIN)/python docs/site/build.py

peers:
	deploy/peers/install.sh

clean:
	rm -rf .venv .fuzz .catalogue.xml .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache radnode-demo bench-results build dist site
