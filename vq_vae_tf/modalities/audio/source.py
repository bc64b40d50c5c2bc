"""What every source of sounds is, once opened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import tensorflow as tf

from vq_vae_tf.batches import ArrayStore, Batch, keyed_shuffle, ordered_batches, training_batches
from vq_vae_tf.errors import UserError
from vq_vae_tf.modalities.pieces import piece_names

SPLITS = ("train", "validation", "test")
CROP = 0xC40B  # third word of the seed: where a crop begins
_POSITIONS = 1 << 30
_FULL_SCALE = 32768.0
MEMORY_BYTES = 8 << 30
"""Of 16-bit samples that are held: 74 hours at 16 kHz."""


def in_16_bits(sound: np.ndarray) -> np.ndarray:
    """A float sound in [-1, 1] as int16."""
    return np.clip(np.rint(sound * _FULL_SCALE), -_FULL_SCALE, _FULL_SCALE - 1).astype(np.int16)


def check_held(held: int, recordings: int, rate: int, dataset: str) -> None:
    """Raises: UserError if so many bytes of recordings are more than is held in memory."""
    if held > MEMORY_BYTES:
        raise UserError(
            f"--dataset={dataset}: {recordings} recordings at {rate} samples per second are more than the "
            f"{MEMORY_BYTES >> 20} MB that are held in memory; give --max_examples={recordings // 2} or fewer."
        )


@dataclass(frozen=True)
class Recordings:
    """The sounds of one split in memory.

    samples: int16 `[total]`, one recording after the other. offsets: int64 `[n + 1]`, where each begins.
    labels: int32 `[n]`, the speaker. names: `[n]`, the files.
    """

    samples: np.ndarray
    offsets: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]

    @classmethod
    def of(cls, sounds: Sequence[np.ndarray], labels: Sequence[int], names: Sequence[str]) -> Recordings:
        """Puts sounds of 16 bits one after the other, see `in_16_bits`."""
        offsets = np.cumsum([0, *map(len, sounds)], dtype=np.int64)
        flat = np.concatenate([np.zeros(0, np.int16), *sounds])
        return cls(flat, offsets, np.asarray(labels, np.int32), tuple(names))

    def sound(self, index: int) -> np.ndarray:
        """One recording, float32 `[time]`."""
        return self.samples[self.offsets[index] : self.offsets[index + 1]] / np.float32(_FULL_SCALE)

    def pieces(self, window: int) -> np.ndarray:
        """Of how many windows each recording is, int64 `[n]`."""
        return -(-np.diff(self.offsets) // window)

    def windows(self, window: int) -> dict[str, np.ndarray]:
        """Pieces of `window` samples: "recording", "begin" (within it), "length", "offset" (of it), "label"."""
        lengths, pieces = np.diff(self.offsets), self.pieces(window)
        recording = np.repeat(np.arange(len(lengths)), pieces)
        first = np.repeat(np.cumsum(pieces) - pieces, pieces)
        return {
            "recording": recording,
            "begin": (np.arange(len(recording)) - first) * window,
            "length": lengths[recording],
            "offset": self.offsets[recording],
            "label": self.labels[recording],
        }


@dataclass(frozen=True)
class AudioData:
    """Sounds at one rate, cut into windows of one length; the label is the speaker.

    Batches are dicts: "x" float32 `[batch, window]` in [-1, 1] and "label" int32 `[batch]`; if `telling`, those of
    training have "said" int32 `[batch]`, the place in `words` of what is said. An example of `examples` is
    a piece of a recording, in order, nothing left out; the last piece of each is followed by silence.
    sizes: split -> number of pieces. skipped: unreadable files left out. root: the folder that names of recordings are
    in, where they are files. known_words: what `words` says where there are no recordings.
    """

    name: str
    rate: int  # samples per second
    window: int  # samples
    class_names: tuple[str, ...]
    recordings: Mapping[str, Recordings] = field(repr=False)
    skipped: int = 0
    root: Path | None = None
    telling: bool = False
    known_words: tuple[str, ...] = ()

    @cached_property
    def words(self) -> tuple[str, ...]:
        """What is said in recordings for training: their names up to the first "_". Raises: UserError."""
        if self.known_words:
            return self.known_words
        names = self.split("train").names
        found = tuple(sorted({_word(name) for name in names}))
        if len(found) < 2 or "" in found:
            wrong = next((name for name in names if not _word(name)), names[0])
            raise UserError(
                f"--said_weight: data set {self.name!r} does not say what is said in {wrong}; expected recordings "
                "called WORD_ANYTHING, of two words or more, or --said_weight=0."
            )
        return found

    @property
    def sizes(self) -> dict[str, int]:
        """Pieces of each split."""
        return {split: len(r.windows(self.window)["label"]) for split, r in self.recordings.items()}

    @property
    def names(self) -> dict[str, tuple[str, ...]]:
        """Split -> the name of each piece: see `piece_names`; empty where recordings are no files."""
        if self.root is None:
            return {}
        return {split: piece_names(r.names, r.pieces(self.window).tolist()) for split, r in self.recordings.items()}

    def examples(self, split: str, batch_size: int) -> tf.data.Dataset:
        """Every piece of a split once, always in the same order; the last batch may be smaller."""
        recordings = self.split(split)

        def cut(batch: Batch) -> Batch:
            return self._cut(samples, batch, batch["begin"])

        with tf.device("cpu"):
            samples = tf.constant(recordings.samples)
        return ordered_batches(ArrayStore.of(recordings.windows(self.window)), batch_size).map(cut)

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

        A recording comes once an epoch for each of its windows, each time cut elsewhere; one that is shorter than a
        window stands anywhere between silence and silence.
        augment: also draws the loudness, -6 dB to 0 dB.
        """
        recordings = self.split("train")
        windows = recordings.windows(self.window)
        if self.telling:
            said = np.array([self.words.index(_word(name)) for name in recordings.names], np.int32)
            windows["said"] = said[windows["recording"]]
        store = ArrayStore.of(windows)
        with tf.device("cpu"):
            samples = tf.constant(recordings.samples)

        def crop(rows: tf.Tensor, epochs: tf.Tensor, batch: Batch) -> Batch:
            spare = batch["length"] - self.window  # negative: silence to spare
            drawn = keyed_shuffle(rows, seed, epochs, CROP, _POSITIONS) % (tf.abs(spare) + 1)
            given = self._cut(samples, batch, tf.where(spare >= 0, drawn, -drawn))
            given |= {"said": batch["said"]} if self.telling else {}
            if augment:
                loudness = keyed_shuffle(rows, seed, epochs, CROP + 1, _POSITIONS) / _POSITIONS
                given["x"] *= tf.cast(0.5**loudness, tf.float32)[:, None]
            return given

        return training_batches(store, batch_size, seed, start_step, num_shards, shard, crop)

    def split(self, name: str) -> Recordings:
        """The recordings of a split. Raises: UserError when it has none."""
        if name not in self.recordings or not len(self.recordings[name].labels):
            present = ", ".join(f"{split} ({size})" for split, size in self.sizes.items() if size)
            raise UserError(f"data set {self.name!r} has no sounds in split {name!r}: choose one of {present}.")
        return self.recordings[name]

    def _cut(self, samples: tf.Tensor, batch: Batch, begin: tf.Tensor) -> Batch:
        """Windows that begin at sample `begin` of their recording (negative: so much silence first)."""
        at = begin[:, None] + tf.range(self.window, dtype=tf.int64)
        heard = (at >= 0) & (at < batch["length"][:, None])
        x = tf.gather(samples, tf.where(heard, at + batch["offset"][:, None], 0))
        x = tf.where(heard, tf.cast(x, tf.float32) / _FULL_SCALE, 0.0)
        return {"x": x, "label": batch["label"]}


def _word(name: str) -> str:
    """`seven` of jackson/seven_12; nothing where the name has no "_"."""
    word, rest, _ = Path(name).stem.partition("_")
    return word if rest else ""
