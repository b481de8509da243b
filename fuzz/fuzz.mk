# Fuzzing of the engine's state machines. Part of the Makefile.
#
#   make fuzz                       every target, a minute each
#   make fuzz ARGS='stream --seconds 600'

.PHONY: fuzz
fuzz: ## fuzz the engine's state machines with libFuzzer, a minute each
	@python3 fuzz/run.py $(ARGS)
