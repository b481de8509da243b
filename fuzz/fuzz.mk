# Fuzzing of the state machines of the engine and of HTTP. Part of the Makefile.
#
#   make fuzz                       every target, a minute each
#   make fuzz ARGS='stream --seconds 600'

.PHONY: fuzz
fuzz: ## fuzz the state machines of the engine and of HTTP with libFuzzer, a minute each
	@python3 fuzz/run.py $(ARGS)
