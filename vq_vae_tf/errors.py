"""The one exception a user is meant to read."""

from __future__ import annotations


class UserError(ValueError):
    """A wrong flag, path, shape, rate, range, version or digest.

    The message is one sentence: what was given, what was expected, what to do.
    The commands print it without a traceback and leave with exit status 2.
    """
