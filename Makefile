# From a fresh clone with Rust, a Python (3.11 or newer) and make; everything else is set up under .build/.

# The interpreter that the tests, the demo and the benchmarks run on.
PYTHON ?= python3

.DEFAULT_GOAL := help
.PHONY: help
help: ## what can be made here
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

include examples/demo.mk
include tests/tests.mk
include examples/cookbook.mk
include fuzz/fuzz.mk
include bench/bench.mk
include docs/docs.mk
include release/release.mk
