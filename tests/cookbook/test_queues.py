"""examples/queues, end to end."""

from __future__ import annotations

import re

import pytest

from .conftest import Cookbook, LoopName


def test_everything_without_arguments(cookbook: Cookbook, loop: LoopName) -> None:
    done = cookbook("queues", loop=loop)
    assert done.stderr == ""
    for name in ("checkout", "background", "crawler", "priorities", "lifo"):
        assert f"\n{name}: " in done.stdout


def test_checkout_turns_away_only_whom_the_line_cannot_hold(
    cookbook: Cookbook, loop: LoopName
) -> None:
    options = ("--customers", "40", "--length", "5", "--pace", "0.001")
    output = cookbook("queues", "checkout", *options, loop=loop).stdout
    days = re.findall(
        r"(\d) tills?, (\w+) customers: (\d+) served, (\d+) turned away.* line up to (\d+)", output
    )
    # The program itself compares the takings with the baskets.
    assert [day[:2] for day in days] == [("1", "hurried"), ("1", "patient"), ("4", "hurried")]
    for _, customers, served, turned_away, longest in days:
        assert int(served) + int(turned_away) == 40
        assert int(longest) <= 5
        assert customers == "hurried" or turned_away == "0"


def test_background_finishes_what_it_took_and_puts_off_the_rest(
    cookbook: Cookbook, loop: LoopName
) -> None:
    options = ("--reports", "50", "--workers", "2", "--limit", "10")
    output = cookbook("queues", "background", *options, loop=loop).stdout
    found = re.search(r"50 reports at once, (\d+) taken, (\d+) put off", output)
    assert found is not None
    taken, put_off = map(int, found.groups())
    assert taken + put_off == 50
    assert taken >= 10
    assert f"{taken} of {taken} done" in output


@pytest.mark.parametrize(("depth", "pages"), [(0, 1), (1, 7), (3, 138)])
def test_crawler_finds_all_within_its_depth(
    cookbook: Cookbook, loop: LoopName, depth: int, pages: int
) -> None:
    options = ("--pages", "400", "--depth", str(depth), "--timeout", "3")
    output = cookbook("queues", "crawler", *options, loop=loop).stdout
    assert f"crawler: {pages} pages within {depth} links" in output
    problems = ["crawler: /lost: ClientResponseError: 404", "crawler: /never: TimeoutError"]
    assert [line for line in output.splitlines() if "Error" in line] == problems * (depth > 0)


def test_priorities_keep_the_order_of_arrival_among_equals(
    cookbook: Cookbook, loop: LoopName
) -> None:
    output = cookbook("queues", "priorities", loop=loop).stdout
    assert "instances of 'dict' and 'dict'; yet the queue holds 2" in output
    assert "by urgency and name:    Yusuf, Zoe, Bruno, Carla, Nadia, Anton" in output
    assert "by urgency and arrival: Zoe, Yusuf, Nadia, Bruno, Carla, Anton" in output


def test_lifo_walks_the_same_tree_with_less_waiting(cookbook: Cookbook, loop: LoopName) -> None:
    output = cookbook("queues", "lifo", "--width", "2", "--depth", "6", loop=loop).stdout
    walks = re.findall(r"(\w+) in, \w+ out: (\d+) nodes, up to (\d+) waiting", output)
    # The last level of the tree waits at once; on the way down, one sibling a level.
    assert walks == [("first", "127", "64"), ("last", "127", "7")]
