"""Echo servers with ever more connections: all active, or ten of them."""

from __future__ import annotations

from ..echo.measured import Kind
from ..echo.throughput import EchoRow
from .family import Cost, Family, row_name

SIZES = (10, 100, 1000, 10_000)
QUICK_SIZES = (10, 1000)
MESSAGE_BYTES = 1024
FEW = 10


def _family(kind: str, few: bool) -> Family:
    """`few`: of however many connections, ten are active, and the others open and silent."""
    which = "ten_active" if few else "all_active"
    name = f"echo_{kind}_{which}"
    rows = [
        EchoRow(
            name=row_name(name, size),
            kind=Kind(kind),
            size_bytes=MESSAGE_BYTES,
            connections=size,
            active=FEW if few else None,
            quick=kind == "protocol" and size in QUICK_SIZES,
            group=name,
        )
        for size in SIZES
    ]
    active = "ten active" if few else "all active"
    return Family(name, "connections", (Cost(f"echo ({kind}), {active}", rows[0].unit),), rows)


CONNECTIONS = tuple(_family(kind, few) for few in (False, True) for kind in ("protocol", "streams"))
