"""What every source of images is, once opened."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import tensorflow as tf

from vq_vae_tf.batches import COIN, Batch, Store, keyed_shuffle, ordered_batches, training_batches
from vq_vae_tf.errors import UserError

SPLITS = ("train", "validation", "test")
IN_MEMORY_BYTES = 1_500_000_000  # decoded pixels of a split beyond this are read from disk for every batch

OpenStore = Callable[[], Store]


@dataclass(frozen=True)
class ImageData:
    """A source of images: uint8 `[height, width, channels]` in 0..255, with int32 labels where it has classes.

    Batches are dicts: "x" uint8 `[batch, height, width, channels]`, and "label" int32 `[batch]` if `class_names`.
    sizes: split -> number of examples. skipped: unreadable files left out. A split is read when it is first used.
    names: split -> each example's file, its path under the folder of data; empty where they do not come from files.
    """

    name: str
    image_shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    sizes: Mapping[str, int]
    skipped: int = 0
    stores: Mapping[str, OpenStore] = field(default_factory=dict, repr=False)
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)
    _opened: dict[str, Store] = field(default_factory=dict, repr=False, compare=False)

    def examples(self, split: str, batch_size: int) -> tf.data.Dataset:
        """Every example of a split once, always in the same order; the last batch may be smaller."""
        return ordered_batches(self.store(split), batch_size)

    def training_batches(
        self,
        batch_size: int,
        seed: int,
        start_step: int = 0,
        *,
        augment: bool = False,
        num_shards: int = 1,
        shard: int = 0,
    ) -> tf.data.Dataset:
        """Endless batches of the training split; the batch of step s depends on (seed, s) only.

        batch_size: images a step over all shards; this shard gets batch_size / num_shards of them.
        augment: mirrors each image left to right with probability 1/2, decided by (seed, epoch, example).
        """
        store, local = self.store("train"), batch_size // num_shards

        def mirror(rows: tf.Tensor, epochs: tf.Tensor, batch: Batch) -> Batch:
            coin = keyed_shuffle(rows, seed, epochs, COIN, 2 * store.num_examples) % 2
            both = tf.concat([batch["x"], tf.reverse(batch["x"], [2])], 0)
            # A gather of whole images: three times as fast as tf.where over pixels.
            return batch | {"x": tf.gather(both, tf.range(local, dtype=tf.int64) + local * coin)}

        return training_batches(store, batch_size, seed, start_step, num_shards, shard, mirror if augment else None)

    def store(self, split: str) -> Store:
        """A split, read when first asked for. Raises: UserError when it has no examples."""
        if not self.sizes.get(split):
            present = ", ".join(f"{name} ({size})" for name, size in self.sizes.items() if size)
            raise UserError(f"data set {self.name!r} has no examples in split {split!r}: choose one of {present}.")
        if split not in self._opened:
            self._opened[split] = self.stores[split]()
        return self._opened[split]
