"""An extension of griffe: functions of a stub that are nothing but overloads get a page entry, too.

In source code the implementation follows the overloads, and griffe keeps them with it. A stub has
none, and they would be lost: the first of them stands for it.
"""

from __future__ import annotations

from typing import Any

import griffe


class Overloads(griffe.Extension):
    def on_class(self, *, cls: griffe.Class, **kwargs: Any) -> None:
        for name, overloads in list(cls.overloads.items()):
            if name not in cls.members and overloads:
                cls.set_member(name, overloads[0])
