"""Packages that people use asyncio through, as they come from PyPI, over real sockets.

No package is patched and no server is simulated: Postgres and Redis are real ones, started by
`conftest` on a free port in a folder of their own.
"""
