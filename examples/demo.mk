# `make demo`: from a fresh clone to numbers. Part of the Makefile.

.PHONY: demo
demo: ## build ferrio, run an unmodified aiohttp program on it, then a quick benchmark
	@echo '==> 1/3  setting up $(VENV) and building ferrio (the first time takes two minutes or so)'
	@$(MAKE) --no-print-directory bench-tools
	@echo
	@echo '==> 2/3  an aiohttp service and its visitors, which know nothing of ferrio:'
	@echo '         ferrio run examples/encyclopedia'
	@echo
	@$(VENV)/bin/ferrio run examples/encyclopedia
	@echo
	@echo '==> 3/3  this machine, side by side: ferrio bench --quick --loops ferrio asyncio uvloop'
	@echo
	@$(VENV)/bin/ferrio bench --quick --loops ferrio asyncio uvloop \
	  --plot .build/demo.svg --load-generator $(LOAD_GENERATOR)
	@echo
	@echo '==> done. More of it: make bench, $(VENV)/bin/ferrio --help, README.md'
