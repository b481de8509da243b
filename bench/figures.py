"""Writes the tables of bench/README.md from the JSON of `ferrio bench`.

    python bench/figures.py bench/results/3.13.json bench/results/3.14.json
    python bench/figures.py bench/results/growth-3.13.json

A file replaces the section of its Python version and leaves the others alone. Sections are kept
between comments, `<!-- figures 3.13 -->` and `<!-- end of figures 3.13 -->`, or `growth` for what
`ferrio bench --growth` wrote, whose plot is drawn too; text outside them is nobody's but the
author's. Prints which of the project's targets are missed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from ferrio._bench import figures
from ferrio._bench.growth import plot
from ferrio._bench.growth.curves import Curves, Point, curves
from ferrio._bench.results import Results, RowResult

README = Path(__file__).parent / "README.md"
PICTURES = Path("../docs/images")
"""From the README's folder."""

TARGETS = {
    "echo_protocol_1k": 0.95,
    "echo_protocol_unix_1k": 0.9,
    "echo_buffered_1k": 0.9,
    "echo_streams_1k": 0.7,
    "echo_streams_64k": 0.45,
    "echo_streams_64b_depth32": 0.6,
    "echo_streams_unix_1k": 0.58,
    "echo_sockets_1k": 0.42,
    "echo_sockets_unix_1k": 0.3,
    "echo_tls_protocol_1k": 0.8,
    "echo_tls_streams_1k": 0.7,
    "echo_udp_1k": 0.8,
    "stream_readline": 0.25,
    "call_soon_batch": 0.5,
    "timer_cancel_10k_pending": 0.1,
    "sleep0_100_tasks": 0.5,
    "create_task_await": 0.4,
    "gather_1000": 0.4,
    "task_group_100": 0.5,
    "future_ping_pong": 0.4,
    "queue_ping_pong": 0.4,
    "queue_put_get_nowait": 0.25,
    "lock_uncontended": 0.25,
    "semaphore_uncontended": 0.25,
    "event_wait_set": 0.25,
    "lock_contended_10": 0.4,
    "semaphore_contended": 0.4,
    "timeout_enter_exit": 0.25,
    "wait_for_one_tick": 0.4,
    "getaddrinfo_numeric": 0.8,
    "memory_protocol": 1.0,
    "memory_streams": 1.0,
}
"""Highest ratio to uvloop that ferrio may have."""

KEPT_BESIDE_COMPUTING_PERCENT = 40


def main() -> int:
    parser = argparse.ArgumentParser(description="Write the tables of bench/README.md.")
    parser.add_argument("files", nargs="+", type=Path, metavar="JSON")
    parser.add_argument("--readme", type=Path, default=README)
    args = parser.parse_args()
    text = args.readme.read_text()
    for path in args.files:
        results = Results.read(path)
        if any(curves(results)):
            name, content = f"growth {version(results)}", growth_section(results)
            plot.save(results, args.readme.parent / picture(results))
        else:
            name, content = f"figures {version(results)}", section(results)
        text = replace_section(text, name, "\n".join(content))
        for miss in missed(results):
            print(f"{version(results)}: {miss}")
    args.readme.write_text(text)
    return 0


def version(results: Results) -> str:
    major, minor, *_ = results.environment["python"].split(".")
    return f"{major}.{minor}"


def replace_section(text: str, name: str, content: str) -> str:
    """`text` with the content of a section exchanged; a new section goes to the end."""
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    block = f"{begin}\n\n{content}\n\n{end}"
    if begin not in text:
        return f"{text.rstrip()}\n\n{block}\n"
    before, _, rest = text.partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise ValueError(f"{begin} without {end}")
    return before + block + after


def section(results: Results) -> Iterator[str]:
    yield from heading(results)
    groups = dict.fromkeys(row.group for row in results.rows)
    for group in groups:
        rows = [row for row in results.rows if row.group == group]
        yield ""
        yield f"**{group}**"
        yield ""
        yield from table(rows, results)


def heading(results: Results) -> Iterator[str]:
    """Where and how the figures came about."""
    about = results.environment
    peers = ", ".join(f"{name} {version}" for name, version in results.loops.items())
    yield f"### CPython {about['python']}, {about['date'][:10]}"
    yield ""
    yield (
        f"{about['cpu']}, {about['cpus']} CPUs, {about['system']}; {about['compiler']}; "
        f"{peers}. {about['rounds']} paired rounds of {about['seconds']:g} s, load from "
        f"{about['load_generator']}; load average at the start {about['load_average']:.1f}."
    )


def table(rows: list[RowResult], results: Results) -> Iterator[str]:
    others = [loop for loop in results.loops if loop != results.baseline]
    units = {row.unit for row in rows}
    # One unit for all rows belongs into the head.
    [unit] = units if len(units) == 1 else [""]
    head = f"{results.baseline}, {unit}" if unit else results.baseline
    yield "| " + " | ".join(["row", head, *others]) + " |"
    yield "|---" + "|---:" * (1 + len(others)) + "|"
    for row in rows:
        best = row.best()
        cells = [emphasis(baseline_cell(row, results.baseline, unit), results.baseline == best)]
        for loop in others:
            cells.append(ratio_cell(row, loop, results.baseline, loop == best))
        yield "| " + " | ".join([f"`{row.name}`", *cells]) + " |"


def baseline_cell(row: RowResult, baseline: str, unit: str) -> str:
    result = row.loops[baseline]
    if result.median is None:
        return figures.reason(result)
    text = figures.number(result.median)
    return text if unit else f"{text} {row.unit}"


def ratio_cell(row: RowResult, loop: str, baseline: str, best: bool) -> str:
    result = row.loops[loop]
    if result.median is None:
        return figures.reason(result)
    ratio = row.ratio(loop, baseline)
    if ratio is None:
        return emphasis(f"{figures.number(result.median)} {row.unit}", best)
    spread = figures.spread(ratio)
    text = emphasis(figures.ratio(ratio), best)
    # In throughput kept, a share of next to nothing makes ratios that mean nothing.
    if not row.lower_is_better:
        text += f" = {figures.number(result.median)} %"
    return f"{text} <sub>{spread}</sub>" if spread else text


def picture(results: Results) -> Path:
    """Where the plot of the curves is, from the README's folder."""
    return PICTURES / f"growth-{version(results)}.svg"


def growth_section(results: Results) -> Iterator[str]:
    yield from heading(results)
    yield ""
    yield f"![The curves of the tables below]({picture(results).as_posix()})"
    for curve in curves(results):
        yield ""
        yield f"**{curve.title}, {curve.unit}**"
        yield ""
        yield from growth_table(curve)


def growth_table(curve: Curves) -> Iterator[str]:
    loops = list(curve.points)
    yield "| " + " | ".join([curve.counted, *loops]) + " |"
    yield "|---:" * (1 + len(loops)) + "|"
    for size in curve.sizes:
        cells = [cost_cell(curve, loop, size) for loop in loops]
        yield "| " + " | ".join([f"{size:,}", *cells]) + " |"
    growths = [curve.growth(loop) for loop in loops]
    cells = ["" if growth is None else figures.ratio(growth) for growth in growths]
    yield "| " + " | ".join(["growth, times", *cells]) + " |"


def cost_cell(curve: Curves, loop: str, size: int) -> str:
    point = curve.points[loop].get(size)
    if not isinstance(point, Point):
        return point or ""
    text = emphasis(figures.number(point.median), curve.best(size) == loop)
    least, most = figures.number(point.least), figures.number(point.most)
    return text if least == most else f"{text} <sub>{least}-{most}</sub>"


def emphasis(text: str, best: bool) -> str:
    return f"**{text}**" if best else text


def missed(results: Results) -> Iterator[str]:
    """What of the project's targets these results do not reach, a line each."""
    for row in results.rows:
        ours = row.loops.get("ferrio")
        if ours is None:
            continue
        if ours.median is None:
            yield f"{row.name}: {figures.reason(ours)}"
            continue
        target = TARGETS.get(row.name)
        uvloop = row.ratio("ferrio", "uvloop")
        if target is not None and uvloop is not None and uvloop.median > target:
            yield f"{row.name}: {uvloop.median:.2f} of uvloop, target {target:.2f}"
        if row.name.startswith("busy_") and ours.median < KEPT_BESIDE_COMPUTING_PERCENT:
            yield f"{row.name}: keeps {ours.median:.0f} %, target {KEPT_BESIDE_COMPUTING_PERCENT} %"
        for peer in row.loops:
            ratio = None if peer.startswith("ferrio") else row.ratio("ferrio", peer)
            if ratio is None:
                continue
            if (ratio.median > 1) if row.lower_is_better else (ratio.median < 1):
                yield f"{row.name}: {ratio.median:.2f} of {peer} ({figures.spread(ratio)})"


if __name__ == "__main__":
    sys.exit(main())
