"""A virtual display, with hands for its keyboard and eyes for its screen."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from typing import Self

import pytest
from PIL import Image, ImageGrab

#: Seconds to wait for anything; only what hangs takes so long.
PATIENCE = 30


class Display:
    """An Xvfb of its own, for the time of a `with` block."""

    name: str

    def __init__(self, width: int = 640, height: int = 400) -> None:
        self._size = width, height

    def __enter__(self) -> Self:
        reading, writing = os.pipe()
        screen = f"{self._size[0]}x{self._size[1]}x24"
        # It chooses a free number and tells it when it is ready.
        command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", screen, "-nolisten", "tcp"]
        self._server = subprocess.Popen(command, pass_fds=[writing], stderr=subprocess.DEVNULL)
        os.close(writing)
        with open(reading) as answer:
            number = answer.readline().strip()
        assert number, "Xvfb did not start"
        self.name = f":{number}"
        return self

    def __exit__(self, *_: object) -> None:
        self._server.terminate()
        self._server.wait()

    def xdotool(self, *words: str) -> str:
        done = subprocess.run(
            ["xdotool", *words],
            env=os.environ | {"DISPLAY": self.name},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        # It also fails if it finds no window: then there is no output.
        return done.stdout.strip()

    def press(self, *keys: str) -> None:
        """Keys by their X names, one after the other, with `ctrl+` and the like before them."""
        self.xdotool("key", "--delay", "30", *keys)

    def type(self, text: str) -> None:
        self.xdotool("type", "--delay", "10", text)

    def wait_for_window(self, title: str) -> str:
        """Waits for a window whose title matches, and puts the pointer in it; its number.

        Without a window manager, keys go where the pointer is.
        """
        window = self.wait_until(lambda: self.xdotool("search", "--onlyvisible", "--name", title))
        self.xdotool("mousemove", "--window", window.split()[0], "300", "100")
        return window.split()[0]

    def screenshot(self) -> Image.Image:
        return ImageGrab.grab(xdisplay=self.name).convert("RGB")

    def wait_until(self, look: Callable[[], str]) -> str:
        deadline = time.monotonic() + PATIENCE
        while not (seen := look()):
            if time.monotonic() > deadline:
                pytest.fail("not seen on the display in time")
            time.sleep(0.05)
        return seen
