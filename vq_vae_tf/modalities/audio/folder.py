"""A folder of sounds by speaker as a data set."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np
from absl import logging

from vq_vae_tf.errors import UserError
from vq_vae_tf.files import visible_files
from vq_vae_tf.modalities.audio.source import SPLITS, AudioData, Recordings, check_held, in_16_bits
from vq_vae_tf.modalities.audio.wav import CODECS, read_sound
from vq_vae_tf.progress import shown

_TEST_PART = 0.1
_NAMED = 5
_TAKE = re.compile(r"_(\d+)$")


def open_folder(
    root: str | Path,
    rate: int,
    window: int,
    holdout: str = "hash",
    validation_size: int = 0,
    strict: bool = False,
    max_examples: int = 0,
) -> AudioData:
    """Opens `root/<speaker>/*.wav` (or FLAC, OGG, MP3 with the `audio` extra) as a data set.

    rate: samples per second; files of other rates are converted. window: samples of an example.
    holdout: what the test split is: `hash`, about a tenth of the files by the hash of their names; `takes:N`, the files
    whose names end in _0 to _N-1; `speakers:A,B`, all files of these speakers.
    validation_size: recordings of the rest held out by hash. max_examples: at most so many recordings of each split,
    by hash, so of all speakers.

    Raises: UserError for a missing or empty folder, a holdout that leaves a split empty, unreadable files if `strict`,
    or more sound than is held.
    """
    root = Path(root).expanduser()
    files = list_sounds(root)
    speakers = tuple(sorted({name.split("/")[0] for name in files}))
    parts = parted(files, holdout, validation_size, str(root))
    wanted = [(split, name) for split in SPLITS for name in some(parts[split], max_examples)]
    sounds: dict[str, dict[str, np.ndarray]] = {split: {} for split in SPLITS}
    unread: list[str] = []
    held = 0
    for split, name in shown(wanted, "read"):
        try:
            sounds[split][name] = in_16_bits(read_sound(root / name, rate))
        except UserError as error:
            unread.append(str(error))
            continue
        held += sounds[split][name].nbytes
        check_held(held, sum(map(len, sounds.values())), rate, f"folder:{root}")
    recordings = {}
    for split, read in sounds.items():
        labels = [speakers.index(name.split("/")[0]) for name in read]
        recordings[split] = Recordings.of(list(read.values()), labels, list(read))
    _report(root, unread, strict)
    if not recordings["train"].names:
        raise UserError(
            f"--dataset=folder:{root}: no readable training recording; {(unread or ['give more files'])[0]}"
        )
    return AudioData(f"folder:{root}", rate, window, speakers, recordings, len(unread), root)


def parted(names: list[str], holdout: str, validation_size: int, where: str) -> dict[str, list[str]]:
    """Recordings speaker/name by split: see `open_folder`. Raises: UserError."""
    test = held_out(names, holdout, tuple(sorted({name.split("/")[0] for name in names})))
    rest = sorted((name for name in names if name not in test), key=_hash)
    if validation_size >= max(len(rest), 1):
        raise UserError(
            f"--validation_size={validation_size}: {where} has {len(rest)} training recordings; hold out fewer."
        )
    return {"train": rest[validation_size:], "validation": rest[:validation_size], "test": sorted(test)}


def some(names: list[str], most: int) -> list[str]:
    """At most so many of the recordings, in order, drawn by hash: of all speakers. 0: all."""
    return sorted(sorted(names, key=_hash)[: most or None])


def list_sounds(root: Path) -> list[str]:
    """Every sound below a speaker's folder, as its path under `root`, ordered. Raises: UserError."""
    if not root.is_dir():
        raise UserError(f"--dataset=folder:{root}: no such folder, expected one with a folder for each speaker.")
    names = sorted(p.relative_to(root).as_posix() for p in visible_files(root) if p.suffix.lower() in CODECS)
    if not names:
        raise UserError(f"--dataset=folder:{root}: no WAV, FLAC, OGG or MP3 file in it; expected speaker/file.wav.")
    if loose := [name for name in names if "/" not in name]:
        raise UserError(f"--dataset=folder:{root}: {loose[0]} lies in no speaker's folder; move it into one.")
    return names


def held_out(names: list[str], holdout: str, speakers: tuple[str, ...]) -> set[str]:
    """The names of the test split: see `open_folder`. Raises: UserError."""
    kind, _, which = holdout.partition(":")
    if kind == "hash" and not which:
        ordered = sorted(names, key=_hash)
        return set(ordered[: max(sum(_hash(n) < _TEST_PART for n in ordered), 1)]) if len(names) > 1 else set()
    if kind == "takes" and which.isdecimal() and int(which):
        takes = {name: _TAKE.search(Path(name).stem) for name in names}
        test = {name for name, take in takes.items() if take and int(take[1]) < int(which)}
    elif kind == "speakers" and which:
        asked = {part.strip() for part in which.split(",")}
        if unknown := sorted(asked - set(speakers)):
            raise UserError(f"--audio_holdout={holdout}: no speaker {unknown[0]!r}; choose from {', '.join(speakers)}.")
        test = {name for name in names if name.split("/")[0] in asked}
    else:
        raise UserError(f"--audio_holdout={holdout} is not known; give hash, takes:5 or speakers:NAME,NAME.")
    if not test or len(test) == len(names):
        raise UserError(f"--audio_holdout={holdout} holds out {len(test)} of {len(names)} recordings; give another.")
    return test


def _hash(name: str) -> float:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:6], "big") / 2**48


def _report(root: Path, unread: list[str], strict: bool) -> None:
    if not unread:
        return
    if strict:
        raise UserError(f"{root}: {len(unread)} files cannot be read: {unread[0]}")
    more = f" and {len(unread) - _NAMED} more" if len(unread) > _NAMED else ""
    logging.warning("%s: %d files are left out: %s%s", root, len(unread), " ".join(unread[:_NAMED]), more)
