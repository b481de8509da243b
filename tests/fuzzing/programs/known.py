"""Differences that are meant, each with its reason: what both traces have instead."""

from __future__ import annotations

import re

from .workers import Channels

KNOWN: list[tuple[str, re.Pattern[str], str]] = [
    (
        "native code has no file and no line, nor a frame that something was created in",
        re.compile(r" (?:(?:running|done, defined|done,|created) )?at (?:FILE|<program>:\d+)"),
        "",
    ),
    (
        "where something was created is told by frames, of which the loop has none of its own",
        re.compile(r"\\?'source_traceback\\?': \[<FrameSummary .*?>\](?=[,}])"),
        "'source_traceback': [...]",
    ),
    (
        "handles of what the loop does by itself are made without a traceback in debug mode",
        re.compile(
            r"(Exception in callback (?:\w*Transport|TRANSPORT|P\d)\..*)"
            r", 'source_traceback[^']*'(?:: \[\.\.\.\])?"
        ),
        r"\1",
    ),
    (
        "the same, where a handler of the program's has failed over one of them",
        re.compile(
            r"('context: \{.*Exception in callback (?:\w*Transport|TRANSPORT|P\d)\..*\}')"
            r", 'handle_traceback: [^']*'"
        ),
        r"\1",
    ),
    (
        "the same: what is logged of an error in one of them ends with the handle's traceback",
        re.compile(
            r"(ERROR \['Fatal error: [^']*')"
            r"(?:, '(?:handle_traceback|protocol|transport): [^']*'|, '<[^']*')+\]"
        ),
        r"\1]",
    ),
    (
        "what stands in the place of asyncio's protocol of TLS",
        re.compile(r"<ferrio\.SSLProtocol object"),
        "<asyncio.sslproto.SSLProtocol object",
    ),
    (
        "a class in Python has its own module",
        re.compile(r"<ferrio\.aio\._streams\.(\w+) object"),
        r"<asyncio.streams.\1 object",
    ),
    (
        "a class of asyncio's that has no part in its API",
        re.compile(r"_Selector(?=DatagramTransport\.)"),
        "",
    ),
    (
        "a TypeError names the module of asyncio's C types; that of ferrio's is not compared",
        re.compile(r"'_asyncio\.(\w+)'"),
        r"'\1'",
    ),
    (
        "asyncio's pipes and datagrams that have ended cannot be aborted, by a fault of theirs",
        re.compile(r"AttributeError\(\"'NoneType' object has no attribute '_remove_reader'\"\)"),
        "None",
    ),
    (
        "an abort() of asyncio's pipes calls connection_lost() once more each time, of nobody then",
        re.compile(
            r"(?:ERROR \[')?Exception in callback TRANSPORT\._call_connection_lost\(.*"
            r"AttributeError\(\"'NoneType' object has no attribute 'close'\"\) amid "
            r"AttributeError\(\"'NoneType' object has no attribute 'connection_lost'\"\).*"
        ),
        "",
    ),
]


def normalized(channels: Channels) -> Channels:
    """What is compared. A line of which nothing is left is none."""
    compared = {}
    for channel, lines in channels.items():
        left = [line for line in map(_line, lines) if line]
        if left or not lines:
            compared[channel] = left
    return compared


def _line(line: str) -> str:
    for _, pattern, instead in KNOWN:
        line = pattern.sub(instead, line)
    return line
