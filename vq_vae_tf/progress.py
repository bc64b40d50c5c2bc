"""One line that says how far a run is."""

from __future__ import annotations

import sys
import time
from collections.abc import Generator, Iterable, Mapping, Sized
from typing import TextIO, TypeVar, cast

SECONDS_BETWEEN_LINES = 30.0
SECONDS_BETWEEN_CHANGES = 0.05
T = TypeVar("T")


class Progress:
    """`vqvae  1200/10000  15.3 step/s  9m35s left  loss 0.0712  ...`, rewritten in place on a terminal.

    There the first and the last step are shown, and between them what the eye can follow. Elsewhere (a log file, a
    pipe) it is one such line every half minute. The rate is that since the first update: before it graphs are compiled.
    """

    def __init__(self, total: int, title: str = "", stream: TextIO | None = None, unit: str = " step/s") -> None:
        self._total, self._title, self._unit = total, title, unit
        self._stream = stream if stream is not None else sys.stderr
        self._first: tuple[int, float] | None = None
        self._printed = time.monotonic()
        self._width = 0

    def update(self, step: int, metrics: Mapping[str, float]) -> None:
        """Shows `step` steps done and the latest metrics (the first four)."""
        now = time.monotonic()
        first, began = self._first = self._first or (step, now)
        terminal = self._stream.isatty()
        pause = SECONDS_BETWEEN_CHANGES if terminal else SECONDS_BETWEEN_LINES
        if now - self._printed < pause and not (terminal and step in (first, self._total)):
            return
        self._printed = now
        self._show(self._line(step, step - first, now - began, metrics), "\r" if terminal else "\n")

    def close(self) -> None:
        """Ends the line on a terminal."""
        if self._width:
            self._stream.write("\n")
            self._stream.flush()
            self._width = 0

    def _line(self, step: int, done: int, seconds: float, metrics: Mapping[str, float]) -> str:
        rate = done / max(seconds, 1e-9)
        speed = [f"{_three_digits(rate)}{self._unit}", f"{_duration((self._total - step) / rate)} left"] if done else []
        shown = [f"{name} {value:.4g}" for name, value in list(metrics.items())[:4]]
        return "  ".join([self._title, f"{step}/{self._total}", *speed, *shown]).strip()

    def _show(self, line: str, end: str) -> None:
        if end == "\r":
            self._stream.write("\r" + line.ljust(self._width))
            self._width = len(line)
        else:
            self._stream.write(line + "\n")
        self._stream.flush()


def shown(items: Iterable[T], title: str, total: int | None = None) -> Generator[T, None, None]:
    """The items one by one, and how far that is; `total` says how many there are where they do not know it."""
    progress = Progress(len(cast(Sized, items)) if total is None else total, title, unit="/s")
    try:
        for step, item in enumerate(items, start=1):
            yield item
            progress.update(step, {})
    finally:
        progress.close()


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m" if hours else f"{minutes}m{seconds:02d}s" if minutes else f"{seconds}s"


def _three_digits(rate: float) -> str:
    return f"{rate:.3g}" if rate < 999.5 else f"{rate:.0f}"
