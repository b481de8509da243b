"""Pages that show files of the repository: source code, licences, folders.

Pages link to such files by their paths, which works in a clone and on a forge. In the site each has
a page of its own, so that the site is whole wherever it is read, without a network too.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, InclusionLevel

ROOT = Path(__file__).resolve().parents[2]
FOLDER = "source"

LANGUAGES = {
    ".c": "c",
    ".h": "c",
    ".html": "html",
    ".json": "json",
    ".mk": "make",
    ".py": "python",
    ".pyi": "python",
    ".rs": "rust",
    ".sql": "sql",
    ".sh": "bash",
    ".toml": "toml",
    ".txt": "text",
    ".yaml": "yaml",
    ".yml": "yaml",
}
#: Nobody reads these.
LEFT_OUT = {"__pycache__", "target", ".build", ".git"}
#: Not for search, which should lead to what explains them.
HEAD = "---\nsearch:\n  exclude: true\n---\n"


def place(path: Path) -> str:
    """The page in the site that shows `path`, a file or folder of the repository."""
    name = f"{FOLDER}/{path.relative_to(ROOT).as_posix()}"
    return f"{name}/index.md" if path.is_dir() else f"{name}.md"


def generated(config: MkDocsConfig, linked: Iterable[Path]) -> Iterator[File]:
    """A page for each of `linked` and for all that is in them, once."""
    seen: set[Path] = set()
    for path in linked:
        for found in (path, *(inside(path) if path.is_dir() else ())):
            if found not in seen:
                seen.add(found)
                content = of_folder(found) if found.is_dir() else of_file(found)
                yield File.generated(
                    config, place(found), content=content, inclusion=InclusionLevel.NOT_IN_NAV
                )


def inside(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name in LEFT_OUT or path.is_symlink():
            continue
        if path.is_dir():
            yield path
            yield from inside(path)
        elif is_text(path):
            yield path


def is_text(path: Path) -> bool:
    try:
        path.read_text()
    except UnicodeDecodeError:
        return False
    return True


def of_file(path: Path) -> str:
    name = path.relative_to(ROOT).as_posix()
    language = LANGUAGES.get(path.suffix, "make" if path.name == "Makefile" else "text")
    text = path.read_text()
    # Longer than any fence in the text, which may be Markdown.
    longest = max(map(len, re.findall(r"`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    return f"{HEAD}# {name}\n\n{fence}{language}\n{text.rstrip()}\n{fence}\n"


def of_folder(path: Path) -> str:
    name = path.relative_to(ROOT).as_posix()
    here = PurePosixPath(place(path)).parent
    lines = []
    for entry in sorted(path.iterdir()):
        if entry.name in LEFT_OUT or entry.is_symlink():
            continue
        if entry.is_dir() or is_text(entry):
            slash = "/" if entry.is_dir() else ""
            lines.append(f"- [{entry.name}{slash}]({os.path.relpath(place(entry), here)})")
    return f"{HEAD}# {name}\n\n" + "\n".join(lines) + "\n"
