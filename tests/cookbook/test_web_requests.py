"""Concurrent web requests: what each way of asking gets, and what the site saw of it."""

from __future__ import annotations

import re
import signal
import urllib.request

from .conftest import CLASSES, Cookbook, LoopName


def test_all_programs_in_one_go(cookbook: Cookbook, loop: LoopName) -> None:
    lines = cookbook("web_requests", "--pages", "100", loop=loop).stdout.splitlines()
    assert lines[0] == f"running on {CLASSES[loop]}"
    sections = [line.partition(":")[0] for line in lines if re.match(r"[a-z]+: ", line)]
    assert sections == ["gather", "completed", "wait", "timeouts", "progress", "polite"]


def test_gather_keeps_the_order_and_what_failing_pages_do(
    cookbook: Cookbook, loop: LoopName
) -> None:
    output = cookbook("web_requests", "gather", "--pages", "150", loop=loop).stdout
    assert output.count("the same titles in the same order: True") == 2
    assert "147 titles, 3 failed (503 at the first)" in output
    left = re.search(r"gather: raised 503; left (\d+) requests running", output)
    assert left is not None
    assert int(left[1]) > 0
    assert re.search(r"TaskGroup: raised \d+ of them, .* left 0 requests running", output)


def test_completed_goes_by_arrival(cookbook: Cookbook, loop: LoopName) -> None:
    output = cookbook("web_requests", "completed", "--pages", "100", loop=loop).stdout
    assert re.search(r"asked for: +0 .*, 1 .*, 2 .*, 3 ", output)
    assert re.search(r"arrived: +3 .*, 2 .*, 1 .*, 0 ", output)
    late = re.search(r"timeout: +(\d) in time; (\d) still running, cancelled now", output)
    assert late is not None
    # How many are in time is the machine's affair, but for the two that take half a minute.
    assert int(late[1]) + int(late[2]) == 4
    assert int(late[2]) >= 2


def test_wait_in_its_three_modes(cookbook: Cookbook, loop: LoopName) -> None:
    output = cookbook("web_requests", "wait", "--pages", "200", loop=loop).stdout
    assert re.search(r"FIRST_COMPLETED: west won with '.* no\. 7', 2 called off", output)
    failed = re.search(r"FIRST_EXCEPTION: page (\d+) of 200 failed", output)
    assert failed is not None
    assert int(failed[1]) % 50 == 49
    late = re.search(r"(\d+) done, (\d+) pending, (\d+) of them still running", output)
    assert late is not None
    assert int(late[1]) + int(late[2]) == 23
    assert int(late[2]) == int(late[3]) >= 3


def test_timeouts_reach_the_site(cookbook: Cookbook, loop: LoopName) -> None:
    output = cookbook("web_requests", "timeouts", "--pages", "60", loop=loop).stdout
    assert "around a request: TimeoutError" in output
    assert "sock_read=0.2: SocketTimeoutError, a TimeoutError: True" in output
    batch = re.search(r"around a group: (\d+) titles kept, (\d+) cancelled", output)
    assert batch is not None
    assert int(batch[1]) + int(batch[2]) == 51
    assert int(batch[2]) >= 1
    assert re.search(r"rescheduled with every answer: \d+ pages, then patience ran out", output)
    assert re.search(r"shield.*: TimeoutError; afterwards '.* no\. 5'", output)
    abandoned = re.search(r"the site saw (\d+) requests abandoned", output)
    assert abandoned is not None
    assert int(abandoned[1]) >= 4


def test_progress_ends_at_the_end(cookbook: Cookbook, loop: LoopName) -> None:
    output = cookbook("web_requests", "progress", "--pages", "1000", loop=loop).stdout
    counts = [int(count) for count in re.findall(r"% (\d+)/1000 ", output)]
    assert counts == [*range(100, 1001, 100)]
    assert f"[{'#' * 30}] 100% 1000/1000" in output
    assert "1000 different titles" in output


def test_the_semaphore_spares_the_site(cookbook: Cookbook, loop: LoopName) -> None:
    output = cookbook("web_requests", "polite", "--pages", "300", loop=loop).stdout
    reports = re.findall(r"(\d+) of 300 read, 429 sent (\d+) times", output)
    (unlimited, refused), limited, (persistent, _) = reports
    assert int(unlimited) < 300
    assert int(unlimited) + int(refused) == 300
    assert limited == ("300", "0")
    assert persistent == "300"


def test_a_site_in_another_process(cookbook: Cookbook, loop: LoopName) -> None:
    with cookbook.start("web_requests", "serve", "--pages", "70", loop=loop) as site:
        url = site.until(r"serving 70 pages on (\S+);")[1]
        with urllib.request.urlopen(f"{url}/instruments/69", timeout=30) as response:
            assert b" no. 69</title>" in response.read()
        output = cookbook("web_requests", "gather", "--pages", "70", "--url", url, loop=loop).stdout
        assert "69 titles, 1 failed (503 at the first)" in output
        site.send_signal(signal.SIGINT)
        assert site.finish().returncode == 0
