"""CPython's own `test.test_asyncio`, unmodified, on another loop.

Nothing of that suite is kept here: it is imported from the interpreter that runs it. Only the
places that a test gets its loop from are substituted (`sources`), and what cannot pass has a line
with its reason in `expectations.toml`. A failure without such a line and a pass with one are both
errors.
"""
