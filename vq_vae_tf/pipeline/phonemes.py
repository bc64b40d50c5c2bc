"""Codes of whole recordings against their phone labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from vq_vae_tf.evaluation.phonemes import CLASSES, PhonemeScores, class_numbers, frame_phones, phoneme_scores
from vq_vae_tf.modalities.audio.phones import find_phones, read_phones
from vq_vae_tf.modalities.audio.source import AudioData, Recordings
from vq_vae_tf.vqvae import VQVAE

Labelled = tuple[np.ndarray, np.ndarray]
"""Codes and phones of every frame, int `[frames]`."""


def score_phonemes(data: AudioData, vqvae: VQVAE, split: str, seed: int) -> PhonemeScores | None:
    """The map from codes to phones learned on the training recordings, scored on those of a split.

    None where either has no label files, or codes have several channels, which have no single meaning.
    Recordings are encoded whole: the mean that log-mel input subtracts is then that of the recording.
    """
    if data.root is None or vqvae.quantizer.num_codebooks is not None or split == "train":
        return None
    encode = vqvae.encode  # not traced: every length would be a graph of its own
    hop = vqvae.encoder.hop
    train, test = (labelled(data.split(name), data.root, data.rate, hop, encode) for name in ("train", split))
    if train is None or test is None:
        return None
    return phoneme_scores(train, test, vqvae.quantizer.num_codes, CLASSES, seed)


def check_phones(data: AudioData, split: str) -> None:
    """Raises: UserError for a label file that `score_phonemes` could not read, before hours of decoding."""
    if data.root is None or split == "train":
        return
    for name in (name for part in ("train", split) for name in data.split(part).names):
        if (path := find_phones(data.root / name)) is not None:
            read_phones(path, data.rate)


def labelled(recordings: Recordings, root: Path, rate: int, hop: int, encode: Any) -> Labelled | None:
    """Codes and phones of the recordings that have a label file; None if none has. `encode`: `[1, time]` -> codes."""
    codes, phones = [], []
    for index, name in enumerate(recordings.names):
        if (path := find_phones(root / name)) is None:
            continue
        x = recordings.sound(index)
        x = np.pad(x, (0, -len(x) % hop))
        codes.append(np.asarray(encode(tf.constant(x[None])))[0])
        phones.append(class_numbers(frame_phones(read_phones(path, rate), len(codes[-1]), hop), CLASSES))
    return (np.concatenate(codes), np.concatenate(phones)) if codes else None
