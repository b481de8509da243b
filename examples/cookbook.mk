# `make cookbook`: the programs of examples/, end to end. Part of the Makefile, after tests/tests.mk.
#
#   make cookbook                               all of them, on asyncio and on ferrio
#   make cookbook ARGS='-k sockets -x'
#   make cookbook-durations                     how long each takes, for `ferrio cookbook list`

.PHONY: cookbook cookbook-durations
cookbook: venv ## set up what examples/ needs, run each program on ferrio and on asyncio
	@$(VENV)/bin/python -m tests.setup.cookbook
	$(VENV)/bin/python -m pytest tests/cookbook --numprocesses 3 $(ARGS)

cookbook-durations: venv ## measure how long the programs of examples/ take
	@$(VENV)/bin/python -m tests.setup.cookbook
	$(VENV)/bin/python -m tests.cookbook.durations $(ARGS)
