"""Speech from TensorFlow Datasets, by name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from vq_vae_tf.errors import UserError
from vq_vae_tf.modalities.audio.folder import parted, some
from vq_vae_tf.modalities.audio.resample import resample
from vq_vae_tf.modalities.audio.source import SPLITS, AudioData, Recordings, check_held, in_16_bits
from vq_vae_tf.modalities.image.tfds_source import prepared_builder

KNOWN = "vctk, librispeech, spoken_digit, or folder:/path with speaker folders"
_SOUNDS = ("speech", "audio")
_SPEAKERS = ("speaker", "speaker_id", "audio/filename")
_NAMES = ("id", "audio/filename")
_FULL_SCALE = 32768.0


def open_tfds(
    name: str,
    data_dir: str | Path | None,
    rate: int,
    window: int,
    holdout: str = "hash",
    validation_size: int = 0,
    max_examples: int = 0,
) -> AudioData:
    """Opens a TFDS data set of speech by speaker: recordings of its (first) training split, named speaker/recording.

    They are split as those of a folder are (see `open_folder`), for the test splits of TFDS are of other speakers,
    whom a decoder that is told the speaker cannot know. Sounds are held in memory, so a large set wants `max_examples`.

    Raises: UserError for an unknown name, a data set without speech or speakers, or more sound than is held.
    """
    builder = prepared_builder(name, data_dir, KNOWN)
    features = builder.info.features
    sound, speaker, called = (_feature(features, names, name) for names in (_SOUNDS, _SPEAKERS, _NAMES))
    names = [_name(example, features, speaker, called) for example in _read(builder, {speaker, called})]
    speakers = tuple(sorted({n.split("/")[0] for n in names}))
    parts = {s: some(p, max_examples) for s, p in parted(names, holdout, validation_size, name).items()}
    wanted, sounds, held = set().union(*parts.values()), {}, 0
    found = int(features[sound].sample_rate or rate)
    for key, example in zip(names, _read(builder, {sound}), strict=True):
        if key in wanted:
            x = example[sound].astype(np.float32) / _FULL_SCALE
            sounds[key] = in_16_bits(resample(x, found, rate))
            held += sounds[key].nbytes
            check_held(held, len(sounds), rate, name)
    recordings = {
        split: Recordings.of(
            [sounds[n] for n in parts[split]], [speakers.index(n.split("/")[0]) for n in parts[split]], parts[split]
        )
        for split in SPLITS
    }
    return AudioData(name, rate, window, speakers, recordings)


def _feature(features: Any, names: tuple[str, ...], dataset: str) -> str:
    for name in names:
        if name in features:
            return name
    raise UserError(
        f"--dataset={dataset} has features {', '.join(sorted(features))}, expected one of {', '.join(names)}; "
        f"give {KNOWN}."
    )


def _read(builder: Any, wanted: set[str]) -> Iterator[dict[str, Any]]:
    """Every example of the first training split, in the order in which they lie, with these features."""
    import tensorflow_datasets as tfds

    split = next((s for s in sorted(builder.info.splits) if s.startswith("train")), None)
    if split is None:
        raise UserError(f"--dataset={builder.name} has no split whose name begins with train; give {KNOWN}.")
    yield from tfds.as_numpy(
        builder.as_dataset(
            split=split,
            shuffle_files=False,
            decoders=tfds.decode.PartialDecoding(dict.fromkeys(wanted, True)),
            read_config=tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False),
        )
    )


def _name(example: dict[str, Any], features: Any, speaker: str, called: str) -> str:
    """speaker/recording. Of `7_jackson_32.wav`, as the spoken digits are called: jackson/7_32."""
    name = example[called].decode().removesuffix(".wav")
    if speaker == "audio/filename":
        digit, who, take = name.rsplit("/", 1)[-1].split("_")
        return f"{who}/{digit}_{take}"
    who = example[speaker]
    names = getattr(features[speaker], "names", None)
    return f"{names[int(who)] if names else int(who)}/{name.replace('/', '-')}"
