"""The own test suites of packages that stand on asyncio, on the stdlib's loop and on ferrio.

The tests are the packages' own, fetched in a pinned version and run as they are; only where a loop
comes from is substituted (`plugin/ferrio_suites.py`). What passes on asyncio has to pass on ferrio.
"""
