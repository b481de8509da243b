"""The line that somebody types: keys in, text and a cursor out. Knows of no terminal."""

from __future__ import annotations

import re

#: A key is one character, or what terminals send for arrows and the like: ESC [ ... letter.
KEY = re.compile(r"\x1b\[[0-9;]*[A-Za-z~]|\x1bO[A-Z]|\x1b|.", re.DOTALL)


class Editor:
    def __init__(self) -> None:
        self.text = ""
        #: Characters left of the cursor: 0..len(text).
        self.cursor = 0

    def feed(self, typed: str) -> list[str]:
        """Takes what was typed or pasted; returns the lines that were finished with Enter."""
        finished = []
        for key in KEY.findall(typed):
            if key in ("\r", "\n"):
                finished.append(self.text)
                self.text, self.cursor = "", 0
            else:
                self._press(key)
        return finished

    def _press(self, key: str) -> None:
        before, after = self.text[: self.cursor], self.text[self.cursor :]
        match key:
            case "\x7f" | "\b":
                before = before[:-1]
            case "\x1b[3~":
                after = after[1:]
            case "\x15":  # Ctrl-U
                before = ""
            case "\x17":  # Ctrl-W
                before = before.rstrip().rpartition(" ")[0]
                before += " " if before else ""
            case "\x1b[D" | "\x1bOD":
                before, after = before[:-1], before[-1:] + after
            case "\x1b[C" | "\x1bOC":
                before, after = before + after[:1], after[1:]
            case "\x01" | "\x1b[H" | "\x1bOH":  # Ctrl-A, Home
                before, after = "", before + after
            case "\x05" | "\x1b[F" | "\x1bOF":  # Ctrl-E, End
                before, after = before + after, ""
            case _ if key.isprintable():
                before += key
        self.text, self.cursor = before + after, len(before)
