"""How a walker chooses what to do next, by name; without the engine."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

# Names of ACTIONS[i] and the buttons they press: forward, turn left, turn right.
ACTIONS = {
    "forward": (1, 0, 0),
    "forward_left": (1, 1, 0),
    "forward_right": (1, 0, 1),
    "left": (0, 1, 0),
    "right": (0, 0, 1),
}
_ON_THE_SPOT = 3  # the first action that only turns
_WALK = np.array([0.5, 0.2, 0.2, 0.05, 0.05])  # probability of each action at a change of mind
_CHANGE_OF_MIND = 0.3  # probability of choosing anew at a step
_TURN_STEPS = 4  # steps spent turning away from a wall

Policy = Callable[[int, int, bool, np.random.Generator], tuple[int, int]]


def walk(action: int, turning: int, stuck: bool, random: np.random.Generator) -> tuple[int, int]:
    """Keeps an action for a while, and turns for some steps at a wall.

    action: the last one. turning: steps for which it is still to be kept. stuck: it led to where the walker was.
    Returns the next action and its `turning`.
    """
    if turning:
        return action, turning - 1
    if stuck and action < _ON_THE_SPOT:
        return int(random.integers(_ON_THE_SPOT, len(ACTIONS))), _TURN_STEPS - 1
    if random.random() < _CHANGE_OF_MIND:
        return int(random.choice(len(_WALK), p=_WALK)), 0
    return action, 0


def uniform(action: int, turning: int, stuck: bool, random: np.random.Generator) -> tuple[int, int]:
    """Any action with the same probability, drawn anew at each step, whatever came before; as `walk`."""
    return int(random.integers(len(ACTIONS))), 0


POLICIES: dict[str, Policy] = {"walk": walk, "uniform": uniform}
