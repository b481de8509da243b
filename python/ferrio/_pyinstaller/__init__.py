"""Tells PyInstaller, which looks for the entry point `pyinstaller40`, where our hook is."""

from __future__ import annotations


def hook_dirs() -> list[str]:
    return list(__path__)
