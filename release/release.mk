# What a release is made by. Part of the Makefile.
#
#   make wheels                                 all that this machine can build
#   make wheels ARGS=--plan                    which those would be
#   make wheels ARGS='glibc-x86_64 --python 3.13'
#   make wheel-trial PYTHON=python3.12          try the one in .build/wheels that is for this interpreter
#   make release-check                          what must hold before a release; ARGS='--tag v0.1.0'

.PHONY: wheels wheel-trial release-check
wheels: ## build, judge and try the wheels of a release, into .build/wheels
	@$(PYTHON) -m release.wheels $(ARGS)

wheel-trial: ## install a built wheel into a clean environment, and use it
	@$(PYTHON) release/trial.py $(or $(WHEEL),.build/wheels) $(ARGS)

release-check: ## versions, changelog, a build offline from the sdist, the demo on its wheel
	@$(PYTHON) -m release.check $(ARGS)
