"""The library of tools: what can be borrowed in it, and what a request for a new one must say."""

from __future__ import annotations

import json
from dataclasses import dataclass

CATEGORIES = {
    "garden": ("hedge trimmer", "scythe", "seed drill", "post-hole digger", "apple press"),
    "kitchen": ("pasta roller", "grain mill", "smoker", "raclette for twelve", "dehydrator"),
    "workshop": ("band saw", "drill press", "pillar clamp", "plunge router", "belt sander"),
    "moving": ("hand truck", "piano dolly", "roof rack", "ratchet straps", "loading ramp"),
}

TOOLS = [
    (f"{name}, {size}", category, 100 + 25 * len(name) + 50 * extra)
    for category, names in CATEGORIES.items()
    for name in names
    for extra, size in enumerate(("small", "medium", "large"))
]


class InvalidToolError(ValueError):
    """A tool that cannot be added; the text is for whoever asked."""


class NameTakenError(ValueError):
    """There is a tool of that name."""


@dataclass(frozen=True)
class NewTool:
    """A tool that has no number yet."""

    name: str
    category: str
    cents_a_day: int

    @classmethod
    def parse(cls, body: bytes | str) -> NewTool:
        """Of a JSON object with exactly these fields. Raises InvalidToolError."""
        try:
            fields = json.loads(body)
        except ValueError as error:
            raise InvalidToolError(f"not JSON: {error}") from error
        if not isinstance(fields, dict) or fields.keys() != {"name", "category", "cents_a_day"}:
            raise InvalidToolError("a tool has a name, a category and cents_a_day")
        name, category, cents = fields["name"], fields["category"], fields["cents_a_day"]
        if not isinstance(name, str) or not name.strip():
            raise InvalidToolError("name must be a text")
        if category not in CATEGORIES:
            raise InvalidToolError(f"category must be one of {', '.join(CATEGORIES)}")
        # In Python, True is an int.
        if type(cents) is not int or not 0 < cents < 1_000_000:
            raise InvalidToolError("cents_a_day must be a whole number above 0")
        return cls(name.strip(), category, cents)


@dataclass(frozen=True)
class Tool(NewTool):
    """A tool of the library."""

    id: int
