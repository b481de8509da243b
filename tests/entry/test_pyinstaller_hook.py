"""The hook for PyInstaller names what it cannot see: what the extension module imports."""

from __future__ import annotations

import importlib
import importlib.util
import re
import runpy
from importlib.metadata import entry_points
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "crates" / "ferrio-py" / "src"
#: A module of the package as a string of Rust's.
MODULE = re.compile(r'"(ferrio\.(?:_[a-z_]+|aio(?:\._[a-z_]+)?))"')


def test_all_that_the_extension_module_imports_is_named() -> None:
    (entry_point,) = entry_points(group="pyinstaller40", value="ferrio._pyinstaller:hook_dirs")
    (folder,) = entry_point.load()()
    hook = runpy.run_path(str(Path(folder) / "hook-ferrio.py"))
    named = set(hook["hiddenimports"])
    imported = {
        name
        for source in SOURCES.rglob("*.rs")
        for name in MODULE.findall(source.read_text())
        if importlib.util.find_spec(name) is not None
    }
    assert imported - {"ferrio._ferrio"} == named
    for name in named:
        importlib.import_module(name)
