"""`ferrio jupyter`: a kernel for notebooks that is Python's own, on ferrio."""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

DESCRIPTION = """\
Have Jupyter offer a kernel on ferrio: `await` at the top level of a cell, tasks
that go on between cells, and what libraries do, run on it. It is ipykernel
under `ferrio run`; notebooks stay as they are.
"""

EXAMPLES = """\
examples:
  ferrio jupyter install                 for the Jupyter of this environment
  ferrio jupyter install --user          for every Jupyter of this user
  ferrio jupyter install --name ferrio-debug --debug
  ferrio jupyter uninstall
  jupyter kernelspec list                what is installed
"""

#: What Jupyter takes for a kernel's name.
NAME = re.compile(r"[a-z0-9._-]+", re.ASCII | re.IGNORECASE)


class MistakeError(Exception):
    """It cannot be done; the text says what to type instead."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.epilog = EXAMPLES
    parser.usage = "ferrio jupyter (install | uninstall) [options]"
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    commands = parser.add_subparsers(
        prog="ferrio jupyter", dest="jupyter_command", metavar="COMMAND", help=argparse.SUPPRESS
    )
    install = commands.add_parser(
        "install",
        help="install it",
        description="Install the kernel, over one of the same name.",
        allow_abbrev=False,
    )
    uninstall = commands.add_parser(
        "uninstall",
        help="remove it",
        description="Remove a kernel that `install` made.",
        allow_abbrev=False,
    )
    for each in (install, uninstall):
        each.add_argument(
            "--name", default="ferrio", help="what Jupyter calls the kernel (default: ferrio)"
        )
        place = each.add_mutually_exclusive_group()
        place.add_argument(
            "--user",
            action="store_true",
            help="for every Jupyter of this user (default: the environment of this Python, if "
            "it is a virtual one)",
        )
        place.add_argument("--prefix", help="for the Jupyter that is installed below this folder")
    install.add_argument(
        "--display-name",
        metavar="TEXT",
        help="what the notebook's menu shows (default: Python X.Y on ferrio)",
    )
    install.add_argument(
        "--debug", action="store_true", help="with asyncio's debug mode in every loop"
    )
    install.add_argument(
        "--loop-only",
        action="store_true",
        help="leave asyncio's own locks, queues, streams and functions over tasks in place",
    )
    parser.set_defaults(help=parser.print_help)


def run(options: argparse.Namespace) -> int:
    """`ferrio jupyter`."""
    try:
        match options.jupyter_command:
            case "install":
                install(options)
            case "uninstall":
                uninstall(options)
            case _:
                options.help()
    except (MistakeError, OSError) as error:
        print(f"ferrio jupyter: {error}", file=sys.stderr)
        return 1
    return 0


def install(options: argparse.Namespace) -> None:
    resources = ipykernel_resources()
    check(options.name)
    folder = kernels(options) / options.name.lower()
    if folder.exists() and not is_ours(folder):
        raise MistakeError(
            f"{folder} is another kernel of that name; choose one: ferrio jupyter install --name"
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Made beside it and moved there: Jupyter sees a whole one or none.
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".ferrio-") as made:
        new = Path(made) / "kernel"
        shutil.copytree(resources, new, ignore=shutil.ignore_patterns("kernel.json"))
        (new / "kernel.json").write_text(json.dumps(specification(options), indent=1) + "\n")
        shutil.rmtree(folder, ignore_errors=True)
        new.rename(folder)
    print(f"installed the kernel {folder.name!r} in {folder}")
    shown = display_name(options)
    print(f"In a notebook choose {shown!r}; or: jupyter console --kernel {folder.name}")


def uninstall(options: argparse.Namespace) -> None:
    check(options.name)
    folder = kernels(options) / options.name.lower()
    if not folder.exists():
        raise MistakeError(
            f"there is no kernel {options.name!r} in {folder.parent} (jupyter kernelspec list "
            "shows those that there are; --user and --prefix say where to look)"
        )
    if not is_ours(folder):
        raise MistakeError(
            f"{folder} is not a kernel of ferrio's: jupyter kernelspec remove {folder.name}"
        )
    shutil.rmtree(folder)
    print(f"removed the kernel {folder.name!r} from {folder}")


def specification(options: argparse.Namespace) -> dict[str, Any]:
    """What Jupyter reads: how to start the kernel, and what to call it."""
    from ipykernel.kernelspec import get_kernel_dict  # type: ignore[import-not-found]

    chosen = [
        word
        for word, is_chosen in (("--debug", options.debug), ("--loop-only", options.loop_only))
        if is_chosen
    ]
    # What ipykernel's own kernel has; no frozen modules, which have no breakpoints.
    found: dict[str, Any] = get_kernel_dict(python_arguments=["-Xfrozen_modules=off"])
    at = found["argv"].index("-m")
    found["argv"][at:at] = ["-m", "ferrio", "run", *chosen]
    found["display_name"] = display_name(options)
    found["metadata"] = {**found.get("metadata", {}), "ferrio": True}
    return found


def display_name(options: argparse.Namespace) -> str:
    name: str | None = options.display_name
    return name or f"Python {sysconfig.get_python_version()} on ferrio"


def is_ours(folder: Path) -> bool:
    try:
        found = json.loads((folder / "kernel.json").read_text())
        return bool(found["metadata"]["ferrio"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def check(name: str) -> None:
    if NAME.fullmatch(name) is None:
        raise MistakeError(
            f"{name!r} is no name for a kernel: letters, digits, '-', '.' and '_' are"
        )


def kernels(options: argparse.Namespace) -> Path:
    """The folder of kernels that is meant."""
    if options.prefix is not None:
        return Path(options.prefix).absolute() / "share" / "jupyter" / "kernels"
    if options.user or sys.prefix == sys.base_prefix:
        return user_data() / "kernels"
    return Path(sys.prefix) / "share" / "jupyter" / "kernels"


def user_data() -> Path:
    from jupyter_core.paths import jupyter_data_dir  # type: ignore[import-not-found]

    return Path(jupyter_data_dir())


def ipykernel_resources() -> Path:
    """The pictures that ipykernel has for its own kernel.

    Raises:
        MistakeError: It is not installed.
    """
    import importlib.util

    spec = importlib.util.find_spec("ipykernel")
    if spec is None or spec.origin is None:
        raise MistakeError(
            "the kernel is ipykernel's, which is not installed here: "
            f"{sys.executable} -m pip install ipykernel"
        )
    return Path(spec.origin).with_name("resources")
