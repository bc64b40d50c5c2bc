from __future__ import annotations

import io
import sys

import pytest

from vq_vae_tf import progress as progress_module
from vq_vae_tf.progress import Progress, shown


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is set."""
    now = [1000.0]
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: now[0])
    return now


def test_the_line_on_a_terminal_says_rate_and_time_left_of_this_sitting(clock):
    stream = Terminal()
    progress = Progress(total=10_000, title="vqvae", stream=stream)
    clock[0] += 600  # until the first step is done, graphs are compiled
    progress.update(4000, {"loss": 0.5})
    clock[0] += 50
    progress.update(5000, {"loss": 0.123456, "a": 1.0, "b": 2.0, "c": 3.0, "d": 4.0})
    first, second = stream.getvalue().split("\r")[1:]
    assert first == "vqvae  4000/10000  loss 0.5"
    assert second == "vqvae  5000/10000  20 step/s  4m10s left  loss 0.1235  a 1  b 2  c 3"
    progress.close()
    assert stream.getvalue().endswith("\n")


def test_a_shorter_line_covers_the_longer_one_before_it(clock):
    stream = Terminal()
    progress = Progress(total=10, stream=stream)
    progress.update(0, {})
    clock[0] += 7300 * 5
    progress.update(5, {"loss": 0.123456})
    clock[0] += 1
    progress.update(10, {})
    _, _, first, second = stream.getvalue().split("\r")
    assert "10h08m left" in first
    assert len(second) == len(first)


def test_in_a_log_file_a_line_every_half_minute(clock):
    stream = io.StringIO()
    progress = Progress(total=100, title="prior", stream=stream)
    for step in range(1, 91):
        clock[0] += 1
        progress.update(step, {})
    progress.close()
    assert stream.getvalue().splitlines() == [
        "prior  30/100  1 step/s  1m10s left",
        "prior  60/100  1 step/s  40s left",
        "prior  90/100  1 step/s  10s left",
    ]


def test_a_terminal_is_not_written_to_faster_than_one_can_read(clock):
    stream = Terminal()
    progress = Progress(total=20_000, title="read", stream=stream)
    for step in range(1, 20_001):
        progress.update(step, {})
        clock[0] += 1e-4
    lines = stream.getvalue().split("\r")[1:]
    assert lines[0] == "read  1/20000"
    assert lines[-1] == "read  20000/20000  10000 step/s  0s left"
    assert 2.0 / 0.05 <= len(lines) <= 2.0 / 0.05 + 2


def test_items_come_one_by_one_and_the_line_counts_those_that_are_done(clock, monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    items = shown(iter("abc"), "read", 3)
    assert next(items) == "a"
    assert sys.stderr.getvalue() == ""
    clock[0] += 1
    assert next(items) == "b"
    clock[0] += 0.1
    assert list(items) == ["c"]
    lines = [line.rstrip() for line in sys.stderr.getvalue().split("\r")[1:]]
    assert lines == ["read  1/3", "read  2/3  10/s  0s left", "read  3/3  20/s  0s left"]


def test_the_line_ends_when_nobody_asks_for_more(clock, monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    items = shown("abc", "read")
    next(items), next(items)
    items.close()
    assert sys.stderr.getvalue() == "\rread  1/3\n"
