"""A PixelCNN over levels whose first layer sees a few pixels around, as differences, and whose others see one."""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
from keras import ops

from vq_vae_tf.autoregressive.base import AutoregressiveNetwork
from vq_vae_tf.autoregressive.differences import DifferenceHead, LevelEmbedding
from vq_vae_tf.autoregressive.messages import Messages
from vq_vae_tf.ops.neighbours import (
    around,
    bounded,
    error_weights,
    errors_of,
    guessed_before,
    is_inside,
    offsets_before,
    plane_weights,
    typical,
)

Tensor = Any
Context = tuple[Tensor, Tensor, Tensor]
AHEAD = 2
"""Pixels in every direction for which the map's picture is looked at."""
NEAR = 2
"""Steps up, left or right, at most, to the pixels whose own guesses tell how good the guess is, and that are heard."""


class Places(NamedTuple):
    """What is known of sites before anything is seen, each `[*sites, ...]`."""

    inside: Tensor  # which of the neighbours are in the picture
    plane: Tensor  # the guess's weights of three of them
    errors: Tensor  # weights of what neighbours' own guesses missed
    positions: Tensor  # learned


class PixelBlock(keras.layers.Layer):
    """`h + W (silu(a) b)`, (a, b) = V h / rms(h) + v, the same at each pixel.

    Papers: PixelCNN (arXiv 1601.06759, figure 5), with 1x1 alone; products in place of rectifiers, two thirds as many:
    Shazeer 2020 (arXiv 2002.05202), section 2. A guess by weights that depend on the neighbours is such a product.
    Divided by the root mean square (Zhang & Sennrich 2019, arXiv 1910.07467), since products of products else grow
    without bound where a picture is unlike those before, and training ends in numbers that are not finite.
    """

    def __init__(self, features: int, dropout: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.features, policy = features, self.dtype_policy
        self.hidden = max(2 * features // 24 * 8, 8)
        self.inner = keras.layers.Dense(2 * self.hidden, name="inner", dtype=policy)
        self.out = keras.layers.Dense(features, use_bias=False, name="out", dtype=policy)
        self.drop = keras.layers.Dropout(dropout, dtype=policy)

    def build(self, input_shape: Any = None) -> None:
        """Every weight."""
        self.inner.build((None, self.features))
        self.out.build((None, self.hidden))
        self.built = True

    def call(self, h: Tensor, training: bool | None = None) -> Tensor:
        """`[..., features]`, the same shape."""
        opening, signal = ops.split(self.inner(ops.rms_normalization(h)), 2, axis=-1)
        return h + self.out(self.drop(ops.silu(opening) * signal, training=training))


@keras.saving.register_keras_serializable(package="vq_vae_tf")
class LocalPixelCNN(AutoregressiveNetwork):
    """p(pixel | those at most `reach` rows up and `reach` columns left or right before it, the map around it).

    A pixel is guessed from three neighbours (`plane_weights`). The network sees how far those around are from the guess
    and says how far the pixel itself is: so it begins as a good linear predictor, where one that sees raw values must
    first learn that neighbours are alike. Both are told in units of how far the nearest neighbours were from guesses of
    theirs, so that what is learned where a picture is smooth holds where it is rough. The first `channels` features of
    `condition["map"]` are a picture on the scale -1..1, looked at `AHEAD` pixels around: how far the pixels before were
    from it, and how far it is from the guess at the pixel itself and those to come, both in units of the first. The
    other features are seen in place.
    After: PixelCNN (arXiv 1601.06759), and NeLLoC (arXiv 2109.02639), which found that all layers but the first may see
    one pixel. Differs from both: differences in place of values; channels in order in the head alone; errors of guesses
    around as the measure, as in lossless coding (CALIC: Wu & Memon 1997).

    With `messages`, each pixel also hears what the nearest before it say after their first block, so many numbers
    each: what those saw, `NEAR` pixels beyond the window.

    Args:
        num_layers: residual blocks.
        reach: of the window.
        messages: numbers that a pixel says; 0: none.
        others: see `AutoregressiveNetwork`; with `logistics`, and over (height, width, channels) or (height, width).

    Raises:
        ValueError: sizes that do not fit one another.
    """

    def __init__(self, *args: Any, num_layers: int = 3, reach: int = 3, messages: int = 0, **kwargs: Any):
        super().__init__(*args, **kwargs)
        if len(self.grid) != 2:
            raise ValueError(f"{self.name}: symbol_shape={self.symbol_shape} has grid {self.grid}; expected two axes")
        if reach < 2:
            raise ValueError(
                f"{self.name}: reach={reach}; expected at least 2, to see what neighbours were guessed from"
            )
        if self.logistics < 1:
            raise ValueError(f"{self.name}: logistics={self.logistics}; expected at least 1: its symbols have an order")
        if 0 < self.condition_features < self.channels:
            raise ValueError(
                f"{self.name}: condition_features={self.condition_features}; expected 0, or at least the "
                f"{self.channels} channels of the picture that the map begins with"
            )
        self.num_layers, self.reach, self.messages = num_layers, reach, int(messages)
        policy = self.dtype_policy
        self.first = keras.layers.Dense(self.features, use_bias=False, name="first", dtype=policy)
        self.blocks = [
            PixelBlock(self.features, self.dropout, name=f"block_{i}", dtype=policy) for i in range(num_layers)
        ]
        self.label = (
            keras.layers.Embedding(self.num_labels, self.features, name="label", dtype=policy)
            if self.num_labels
            else None
        )
        self._before = offsets_before(reach)
        self._fours = guessed_before(self._before, NEAR)
        self._heard = self._fours[:, 0]
        sizes = self.features, self.messages, len(self._heard)
        self.talk = Messages(*sizes, name="talk", dtype=policy) if messages else None
        self._near = [i for i, offset in enumerate(self._before) if max(map(abs, offset)) <= AHEAD]
        self._behind = [self._before[i] for i in self._near]
        square = [(dy, dx) for dy in range(AHEAD + 1) for dx in range(-AHEAD, AHEAD + 1)]
        self._ahead = [offset for offset in square if offset >= (0, 0)]

    def _make_ends(self) -> None:
        sizes = (self.channels, self.num_symbols)
        self.embedding = LevelEmbedding(*sizes, name="symbols")
        self.head = DifferenceHead(
            *sizes, self.head_features, logistics=self.logistics, name="head", dtype=self.dtype_policy
        )

    @property
    def embedded_features(self) -> int:
        """One number a channel."""
        return self.channels

    def empty_context(self, batch_size: Any) -> Context:
        """What the trunk says, the guess, and its typical error."""
        guess = ops.zeros((batch_size, self.channels), dtype="float32")
        return super().empty_context(batch_size), guess, guess[:, :1]

    def build_trunk(self) -> None:
        """Position embeddings `[height, width, features]`, the first layer and the blocks."""
        small = keras.initializers.RandomNormal(stddev=0.1)
        self.positions = self.add_weight(name="positions", shape=(*self.grid, self.features), initializer=small)
        inputs = self.channels * (len(self._before) + len(self._fours) + 1) + 1
        if self.condition_features:
            taps = len(self._behind) + len(self._ahead)
            inputs += self.channels * taps + self.condition_features - self.channels + 1
        self.first.build((None, inputs))
        for block in self.blocks:
            block.build()
        if self.talk is not None:
            self.talk.build()
        if self.label is not None:
            self.label.build()

    def contexts(self, sites: Tensor, condition: dict, training: bool | None) -> Context:
        """See the base class; the guess and its typical error with them."""
        seen = around(sites, self._before), self._places(), self._told(condition)
        h, *measures = self._see(*seen, training)
        if self.talk is not None:
            said = ops.reshape(self.talk.said(h), (-1, *self.grid, self.messages))
            h = self.talk(h, around(said, [self._before[i] for i in self._heard]))
        return self._think(h, ops.shape(sites)[:-1], training), *measures

    def init_sites(self, batch_size: Any, condition: dict) -> dict:
        """The picture so far, with a border of `reach` pixels above, left and right, and what the condition says.

        Also what pixels said, with such a border too.
        """
        height, width = self.grid
        size = (batch_size, height + self.reach, width + 2 * self.reach)
        cache = {"canvas": ops.zeros((*size, self.channels), dtype="float32"), "told": self._told(condition)}
        if self.talk is not None:
            cache["said"] = ops.zeros((*size, self.messages), dtype=self.compute_dtype)
        return cache

    def advance(self, previous: Tensor, cache: dict, site: Tensor) -> tuple[Context, dict]:
        """See the base class."""
        # At site 0 the embedding is zeros, which is what the canvas holds there.
        canvas = self._put(cache["canvas"], previous, ops.maximum(site - 1, 0))
        before = self._window(canvas, site)
        here = Places(*(ops.take(ops.reshape(x, (self.num_sites, *x.shape[2:])), site, axis=0) for x in self._places()))
        told = {name: part if name == "label" else self._in_place(part, site) for name, part in cache["told"].items()}
        h, *measures = self._see(before, here, told)
        cache = {**cache, "canvas": canvas}
        if self.talk is not None:
            said = self.talk.said(h)
            h = self.talk(h, ops.take(self._window(cache["said"], site), self._heard, axis=-2))
            cache["said"] = self._put(cache["said"], said, site)
        return (self._think(h, ops.shape(before)[:1]), *measures), cache

    def _put(self, canvas: Tensor, value: Tensor, site: Tensor) -> Tensor:
        width, reach = self.grid[1], self.reach
        return ops.slice_update(canvas, (0, site // width + reach, site % width + reach, 0), value[:, None, None, :])

    def _window(self, canvas: Tensor, site: Tensor) -> Tensor:
        """What the canvas holds around the site and before it: `[batch, offsets, dim]`."""
        width, reach, dim = self.grid[1], self.reach, canvas.shape[-1]
        size = (ops.shape(canvas)[0], reach + 1, 2 * reach + 1, dim)
        window = ops.slice(canvas, (0, site // width, site % width, 0), size)
        return ops.reshape(window, (-1, (reach + 1) * (2 * reach + 1), dim))[:, : len(self._before)]

    def _places(self) -> Places:
        errors = error_weights(self.grid, self._before, self._fours)
        return Places(is_inside(self.grid, self._before), plane_weights(self.grid), errors, self.positions)

    def _in_place(self, part: Tensor, site: Tensor) -> Tensor:
        """`[batch, height, width, ...]` -> `[batch, ...]`."""
        return ops.take(ops.reshape(part, (-1, self.num_sites, *part.shape[3:])), site, axis=1)

    def _told(self, condition: dict) -> dict[str, Tensor]:
        """What the condition says of each pixel: the picture behind and ahead, the rest, and the label's vector."""
        told = {}
        if "map" in condition:
            picture = ops.cast(condition["map"][..., : self.channels], "float32")
            told["behind"], told["ahead"] = around(picture, self._behind), around(picture, self._ahead)
            if self.condition_features > self.channels:
                told["rest"] = condition["map"][..., self.channels :]
        if self.label is not None:
            told["label"] = self.label(condition["label"])
        return told

    def _see(
        self,
        before: Tensor,
        places: Places,
        told: dict[str, Tensor],
        training: bool | None = None,
    ) -> Context:
        """What sites `[...]` see, of the values before them `[..., offsets, channels]`: rows, the guess, its error."""
        above = (self.reach - 1) * (2 * self.reach + 1) + self.reach  # where in the window the pixel above is
        neighbours = before[..., -1, :], before[..., above, :], before[..., above - 1, :]
        guess = sum(places.plane[..., i : i + 1] * value for i, value in enumerate(neighbours))
        inside = ops.cast(places.inside, "float32")[..., None]
        apart = inside * (before - guess[..., None, :])
        errors = errors_of(before, places.errors, self._fours)
        least = 2.0 / (self.num_symbols - 1)  # a level
        scale = typical(errors, places.errors, least)
        seen, others = [(apart, scale), (errors, scale)], [guess, ops.log(scale)]
        if "ahead" in told:
            missed = ops.take(before, self._near, axis=-2) - told["behind"]  # both are 0 outside
            off = typical(missed, ops.take(inside, self._near, axis=-2), least)
            seen += [(missed, off), (told["ahead"] - guess[..., None, :], off)]
            others.append(ops.log(off))
        shape = ops.shape(guess)[:-1]
        parts = [bounded(ops.reshape(x, (*shape, x.shape[-2] * x.shape[-1])) / unit) for x, unit in seen] + others
        parts += [told["rest"]] if "rest" in told else []
        seen = ops.concatenate([ops.cast(part, self.compute_dtype) for part in parts], axis=-1)
        h = self.first(seen) + ops.cast(places.positions, self.compute_dtype)
        if "label" in told:
            h = h + ops.reshape(told["label"], (-1, *(1,) * (len(h.shape) - 2), self.features))
        h = ops.reshape(h, (-1, self.features))  # of rows, TensorFlow makes product, bias and rectifier one operation
        for block in self.blocks[:1]:
            h = block(h, training=training)
        return h, guess, scale

    def _think(self, h: Tensor, shape: Any, training: bool | None = None) -> Tensor:
        """From rows to `[*shape, features]`."""
        for block in self.blocks[1:]:
            h = block(h, training=training)
        return ops.reshape(ops.relu(h), (*shape, self.features))

    def get_config(self) -> dict:
        """Constructor arguments."""
        sizes = {"num_layers": self.num_layers, "reach": self.reach, "messages": self.messages}
        return {**super().get_config(), **sizes}
