"""Actions as a mirror shows them."""

from __future__ import annotations

import re

_OTHER = {"left": "right", "right": "left"}


def mirrored_actions(names: tuple[str, ...]) -> tuple[int, ...] | None:
    """What each action is in a mirrored film, as places in `names`: left is right in every name that says either.

    Without actions it is (0,), the number that stands in their place. None where that cannot be told: no name says left
    or right, or one has no counterpart.
    """
    if not names:
        return (0,)
    others = [re.sub("left|right", lambda word: _OTHER[word[0]], name) for name in names]
    if others == list(names) or not set(others) <= set(names):
        return None
    return tuple(names.index(other) for other in others)
