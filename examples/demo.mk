# `make demo`: from a fresh clone to figures of this machine. Part of the Makefile.
#
#   make demo                       builds ferrio
#   make demo WHEEL=FILE            takes this wheel instead

.PHONY: demo
demo: ## compare an unmodified aiohttp program on asyncio, uvloop and ferrio, then a quick benchmark
	@$(PYTHON) examples/demo.py $(if $(WHEEL),--wheel '$(WHEEL)') $(ARGS)
