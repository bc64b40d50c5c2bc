"""A polite stop: SIGTERM or Ctrl-C lets the running step end."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from vq_vae_tf.errors import Interrupted

__all__ = ["Interrupted", "StopRequest", "stop_request"]


class StopRequest:
    """Remembers the first signal; `received` is None until one comes."""

    received: signal.Signals | None = None


@contextmanager
def stop_request() -> Iterator[StopRequest]:
    """Catches SIGTERM and SIGINT while the block runs; a second one acts as usual, at once.

    Outside the main thread, where Python installs no handlers, it catches nothing.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def remember(number: int, frame: FrameType | None) -> None:
        del frame
        request.received = signal.Signals(number)
        for each, handler in before.items():
            signal.signal(each, handler)

    for number in before:
        signal.signal(number, remember)
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
