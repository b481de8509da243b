# Benchmarks. Included by the Makefile after tests/tests.mk, whose `venv` builds ferrio (release profile).
#
#   make bench                                  everything, on `python3`; half an hour
#   make bench ARGS=--quick                     a first impression
#   make bench PYTHON=python3.14 ARGS='--rows "echo_*" --rounds 9'
#   make bench-figures PYTHON=python3.14        everything, and the tables of bench/README.md from it
#   make bench-growth ARGS=--quick              how costs grow with connections, timers and tasks
#   make bench-growth-figures PYTHON=python3.14 the same in full, with tables and plot of bench/README.md

# What the wheel carries, too: `make venv` has built it.
LOAD_GENERATOR := target/load/ferrio-load
BENCH = $(VENV)/bin/python -m ferrio._bench --load-generator $(LOAD_GENERATOR)
BENCH_RESULTS = bench/results/$(notdir $(VENV))
GROWTH_RESULTS = bench/results/growth-$(notdir $(VENV)).json

.PHONY: bench bench-quick bench-chart bench-programs bench-figures bench-growth bench-growth-figures bench-instructions bench-engine bench-tools bench-test

bench: bench-tools ## measure ferrio beside the loops it competes with
	@$(BENCH) $(ARGS)

bench-quick: bench-tools
	@$(BENCH) --quick $(ARGS)

bench-figures: bench-tools ## measure all of it and write the tables of bench/README.md
	@mkdir -p bench/results
	@$(BENCH) --json $(BENCH_RESULTS).json --plot $(BENCH_RESULTS).svg $(ARGS)
	@$(VENV)/bin/python bench/figures.py $(BENCH_RESULTS).json

# Of each kind one row, and the peers that make loops and tasks.
CHART_ROWS = echo_streams_1k create_task_await echo_tls_streams_1k web_uvicorn
CHART_LOOPS = asyncio uvloop rloop zuvloop ferrio
CHART = docs/images/chart.svg

bench-chart: bench-tools ## measure for the chart of README.md and draw it
	@$(BENCH) --rows $(CHART_ROWS) --loops $(CHART_LOOPS) --baseline asyncio --plot $(CHART) $(ARGS)

bench-programs: bench-tools ## compare five programs, and write their table of bench/README.md
	@$(VENV)/bin/python -m pip --disable-pip-version-check install --quiet --prefer-binary \
	  --requirement bench/programs/requirements.txt
	@$(VENV)/bin/python bench/programs $(ARGS)

bench-growth: bench-tools ## what costs grow to with more connections, timers and tasks
	@$(BENCH) --growth $(ARGS)

bench-growth-figures: bench-tools
	@mkdir -p bench/results
	@$(BENCH) --growth --json $(GROWTH_RESULTS) $(ARGS)
	@$(VENV)/bin/python bench/figures.py $(GROWTH_RESULTS)

bench-instructions: bench-tools ## instructions per operation, counted by valgrind
	@$(VENV)/bin/python bench/instructions.py --load-generator $(LOAD_GENERATOR) $(ARGS)

bench-engine: ## the engine's echo server beside a bare epoll server in C
	$(PYTHON) bench/engine_echo.py $(ARGS)

bench-test: ## test the load generator
	cargo test -p ferrio-load

bench-tools: venv
	@$(PYTHON) bench/load/progress.py 'the load generator' \
	  cargo build --quiet --locked --profile load --package ferrio-load
	@$(PYTHON) bench/load/progress.py 'installing what it is measured beside' \
	  $(VENV)/bin/python -m pip --disable-pip-version-check install --quiet --prefer-binary \
	  --requirement bench/requirements.txt
	@command -v wrk >/dev/null || echo 'without wrk (apt-get install wrk) there are no web rows'
