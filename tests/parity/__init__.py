"""One body, run on asyncio's loop and on the loop under test: both must leave the same trace.

What a trace holds is what a program can observe: which callbacks ran and in which order, what
exceptions were raised and with what texts, what was logged and warned of. See `trace` and `twin`.
"""
