# `make cookbook`: the programs of examples/, end to end. Part of the Makefile, after tests/tests.mk.
#
#   make cookbook                               all of them, on asyncio and on ferrio
#   make cookbook ARGS='-k sockets -x'

.PHONY: cookbook
cookbook: venv ## set up what examples/ needs, run each program on ferrio and on asyncio
	@$(VENV)/bin/python -m tests.setup.cookbook
	$(VENV)/bin/python -m pytest tests/cookbook --numprocesses 3 $(ARGS)
