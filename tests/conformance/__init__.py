"""CPython's own `test.test_asyncio`, and what else of its tests uses a loop, on another loop.

Nothing of them is kept here or changed: they are imported from the interpreter that runs them
(`modules`). Only the places that a test gets its loop from are substituted (`sources`), and what
cannot pass has a line with its reason in `expectations.toml`. A failure without such a line and a
pass with one are both errors.
"""
