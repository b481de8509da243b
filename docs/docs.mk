# The documentation site. Included by the Makefile after tests/tests.mk, whose `venv` builds ferrio.
#
#   make docs                       into .build/site, for a browser; warnings are errors
#   make docs-serve                 the same, built again whenever a page changes
#   make docs-test                  run the code blocks of all pages; part of `make test`

# The variable quiets the theme, which tells of plans for other versions of mkdocs at each build.
MKDOCS = NO_MKDOCS_2_WARNING=1 $(VENV)/bin/python -m mkdocs
SITE = .build/site

.PHONY: docs docs-serve docs-test docs-environment
docs: docs-environment ## build the documentation site into .build/site
	$(MKDOCS) build --strict --clean --quiet
	$(VENV)/bin/python docs/hooks/check.py $(SITE)

docs-serve: docs-environment
	$(MKDOCS) serve

docs-test: venv servers ## run the code blocks of the documentation
	$(VENV)/bin/python -m pytest tests/docs $(ARGS)

docs-environment:
	@$(PYTHON) tests/setup/environment.py --docs --profile $(PROFILE)
