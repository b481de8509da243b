"""Workers for Gunicorn that serve ASGI applications by uvicorn, on ferrio.

    gunicorn -k ferrio.gunicorn.UvicornWorker app:app

They are those of the package uvicorn-worker under the same names, settings included; only the loop
is ferrio's, whatever uvicorn would choose.
"""

from __future__ import annotations

from typing import Any

from ._runner import run

try:
    import uvicorn_worker  # type: ignore[import-untyped]
except ModuleNotFoundError as error:
    _package = {
        "gunicorn": "gunicorn",
        "uvicorn": "uvicorn",
        "uvicorn_worker": "uvicorn-worker",
    }.get((error.name or "").partition(".")[0])
    if _package is None:
        raise
    raise ModuleNotFoundError(
        f"ferrio.gunicorn needs {_package}, which is not installed here: "
        "pip install gunicorn uvicorn-worker",
        name=error.name,
    ) from None

__all__ = ["UvicornH11Worker", "UvicornWorker"]


class UvicornWorker(uvicorn_worker.UvicornWorker):  # type: ignore[misc]
    """uvicorn's worker, on ferrio.

    A subclass may set `CONFIG_KWARGS`, with what `uvicorn.Config` takes. A `loop` in it makes no
    difference.
    """

    # An attribute of instances for the base class, so no ClassVar. Not "auto": that would import
    # uvloop where it is installed.
    CONFIG_KWARGS: dict[str, Any] = {  # noqa: RUF012
        **uvicorn_worker.UvicornWorker.CONFIG_KWARGS,
        "loop": "none",
    }

    def run(self) -> None:
        """Serve until the arbiter says that it is enough."""
        run(self._serve())


class UvicornH11Worker(UvicornWorker):
    """The same with the HTTP parser that is written in Python: h11."""

    CONFIG_KWARGS: dict[str, Any] = {**UvicornWorker.CONFIG_KWARGS, "http": "h11"}  # noqa: RUF012
