"""What training does to its own input, at random."""

from __future__ import annotations

from typing import Any

import keras


class Perturbation(keras.layers.Layer):
    """A layer without weights that leaves shapes as they are; subclasses draw from `self.seeds`.

    Args:
        argument: what the subclass calls its share.
        share: how much is changed, in [0, 1).
        seed: of the draws.

    Raises:
        ValueError: a share out of its range.
    """

    def __init__(self, argument: str, share: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0.0 <= share < 1.0:
            raise ValueError(f"{self.name}: {argument}={share}; expected a share from 0 to below 1.")
        self.seed = seed
        self.seeds = keras.random.SeedGenerator(seed)

    def build(self, input_shape: Any = None) -> None:
        """Nothing to create."""
        del input_shape
        self.built = True

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The shape of the input."""
        return tuple(input_shape)
