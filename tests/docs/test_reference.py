"""The reference is complete."""

from __future__ import annotations

import ast
import asyncio
from pathlib import Path

import ferrio
from ferrio._ferrio import BaseLoop

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "docs" / "reference"
STUB = ROOT / "python" / "ferrio" / "_ferrio.pyi"

#: Methods of `AbstractEventLoop` that no loop of asyncio has either.
NOWHERE = {"create_subprocess_exec", "create_subprocess_shell"}


def test_every_method_of_the_loop_is_native_or_in_the_table() -> None:
    text = (REFERENCE / "loop.md").read_text()
    for name in vars(asyncio.AbstractEventLoop):
        if not name.startswith("_") and name not in NOWHERE and not hasattr(BaseLoop, name):
            assert f"| [`{name}`](" in text, name


def test_no_native_method_is_in_the_table() -> None:
    text = (REFERENCE / "loop.md").read_text()
    for name in vars(BaseLoop):
        assert f"| [`{name}`](" not in text, name


def test_every_public_name_is_in_the_reference() -> None:
    text = (REFERENCE / "index.md").read_text()
    for name in ferrio.__all__:
        assert f"`{name}`" in text, name


def test_all_that_is_public_in_the_stub_is_described() -> None:
    """All but protocol methods, which are asyncio's to describe, and those of coroutines."""
    undescribed = []
    for node in ast.parse(STUB.read_text()).body:
        if not isinstance(node, ast.ClassDef) or node.name in ("BaseSSLProtocol", "Coroutine"):
            continue
        described: dict[str, bool] = {}
        for function in ast.walk(node):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                name = function.name
                # Of overloads, one says it for all.
                described[name] = described.get(name, False) or bool(ast.get_docstring(function))
        undescribed += [
            f"{node.name}.{name}"
            for name, is_described in described.items()
            if not is_described and not name.startswith("_")
        ]
    assert not undescribed
