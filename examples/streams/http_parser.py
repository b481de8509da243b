"""HTTP/1.1 answers out of pieces of any size: bytes in, an answer out, no input and output here.

    head ──> by length ──────────┐
      ├────> by chunks ──────────┼──> complete
      └────> until the connection ends ┘

What a protocol's `data_received` gets may end anywhere: in the middle of a header, of a chunk's
size, of a character. So nothing is looked at before all of it is there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto


class BadAnswer(Exception):
    """The peer does not speak HTTP/1.1, or stopped in the middle."""


@dataclass
class Answer:
    status: int
    reason: str
    #: By name, in lower case.
    headers: dict[str, str]
    body: bytearray = field(default_factory=bytearray)


def parse_head(head: bytes) -> Answer:
    """The answer that begins with these lines (without the empty line that ends them)."""
    first, *lines = head.decode("latin-1").split("\r\n")
    version, _, rest = first.partition(" ")
    code, _, reason = rest.partition(" ")
    if version not in ("HTTP/1.1", "HTTP/1.0") or not code.isdigit():
        raise BadAnswer(f"not an HTTP answer: {first[:40]!r}")
    headers = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise BadAnswer(f"not a header: {line[:40]!r}")
        headers[name.strip().lower()] = value.strip()
    return Answer(int(code), reason, headers)


def body_length(answer: Answer) -> int | None:
    """Bytes of a body that comes in one piece; None if its end is marked in another way."""
    length = answer.headers.get("content-length")
    if length is None:
        return None
    if not length.isdigit():
        raise BadAnswer(f"not a length: {length[:40]!r}")
    return int(length)


def is_chunked(answer: Answer) -> bool:
    return answer.headers.get("transfer-encoding", "").lower() == "chunked"


def chunk_size(line: bytes | bytearray) -> int:
    """Bytes of the chunk that this line announces; what follows a semicolon is ignored."""
    digits = line.split(b";")[0].strip()
    try:
        return int(digits, 16)
    except ValueError:
        raise BadAnswer(f"not the size of a chunk: {digits[:40]!r}") from None


class Stage(Enum):
    HEAD = auto()
    LENGTH = auto()
    CHUNKS = auto()
    UNTIL_EOF = auto()
    COMPLETE = auto()


class AnswerParser:
    """Takes one answer apart. `answer` is of use when `stage` is COMPLETE."""

    answer: Answer

    def __init__(self) -> None:
        self.stage = Stage.HEAD
        self._pending = bytearray()
        #: Bytes of the body still to come, if the stage is LENGTH.
        self._missing = 0

    def feed(self, data: bytes) -> None:
        self._pending += data
        while self._advance():
            pass

    def feed_eof(self) -> None:
        """The peer will send no more: the end of some bodies, and a mistake in all others."""
        if self.stage is Stage.UNTIL_EOF:
            self.stage = Stage.COMPLETE
        if self.stage is not Stage.COMPLETE:
            raise BadAnswer("the connection ended before the answer did")

    def _advance(self) -> bool:
        """One step, if what it needs has come; says if there was one."""
        match self.stage:
            case Stage.HEAD:
                return self._read_head()
            case Stage.LENGTH:
                return self._read_length()
            case Stage.CHUNKS:
                return self._read_chunk()
            case Stage.UNTIL_EOF:
                self.answer.body += self._take(len(self._pending))
                return False
            case Stage.COMPLETE:
                return False

    def _read_head(self) -> bool:
        end = self._pending.find(b"\r\n\r\n")
        if end < 0:
            return False
        self.answer = parse_head(self._take(end + 4)[:-4])
        length = body_length(self.answer)
        if is_chunked(self.answer):
            self.stage = Stage.CHUNKS
        elif length is not None:
            self.stage, self._missing = Stage.LENGTH, length
        else:
            self.stage = Stage.UNTIL_EOF
        return True

    def _read_length(self) -> bool:
        part = self._take(min(self._missing, len(self._pending)))
        self.answer.body += part
        self._missing -= len(part)
        if self._missing == 0:
            self.stage = Stage.COMPLETE
        return False

    def _read_chunk(self) -> bool:
        line = self._pending.find(b"\r\n")
        if line < 0:
            return False
        size = chunk_size(self._pending[:line])
        end = line + 2 + size
        if len(self._pending) < end + 2:
            return False
        chunk = self._take(end + 2)
        self.answer.body += chunk[line + 2 : end]
        if size == 0:
            self.stage = Stage.COMPLETE
        return size > 0

    def _take(self, count: int) -> bytes:
        taken = bytes(self._pending[:count])
        del self._pending[:count]
        return taken
