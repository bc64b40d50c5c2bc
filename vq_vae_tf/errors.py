"""The exceptions a user is meant to read."""

from __future__ import annotations

import signal


class UserError(ValueError):
    """A wrong flag, path, shape, rate, range, version or digest.

    The message is one sentence: what was given, what was expected, what to do.
    The commands print it without a traceback and leave with exit status 2.
    """


class Interrupted(Exception):
    """A run was asked to stop, saved a checkpoint after `step` and can be continued.

    Attributes:
      step: steps done.
      exit_status: what the process should end with (128 + the signal's number).
    """

    def __init__(self, step: int, steps: int, received: signal.Signals) -> None:
        self.step = step
        self.exit_status = 128 + received
        super().__init__(
            f"{received.name} received: stopped after step {step} of {steps} with a checkpoint; "
            "run the same command again to continue."
        )
