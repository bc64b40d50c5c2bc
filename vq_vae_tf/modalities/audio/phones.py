"""Phone labels beside sounds: `.phn` of TIMIT, `.lab` of HTK or Festival."""

from __future__ import annotations

from pathlib import Path

from vq_vae_tf.errors import UserError
from vq_vae_tf.modalities.audio.wav import read_wav

Segments = list[tuple[int, int, str]]
"""(begin, end, phone) in samples, in order."""
TIMIT_RATE = 16_000
_HTK_UNITS = 10_000_000  # of 100 ns in a second


def find_phones(sound: Path) -> Path | None:
    """The label file beside a sound: the same name with `.phn`, else `.lab`, in either case; None if there is none."""
    for suffix in (".phn", ".lab", ".PHN", ".LAB"):
        if (path := sound.with_suffix(suffix)).is_file():
            return path
    return None


def read_phones(path: Path, rate: int) -> Segments:
    """Segments of a label file in samples at `rate` per second.

    `.phn`: "begin end phone" in samples of the WAV file beside it (without one: at 16 kHz). `.lab`: "begin end phone"
    in units of 100 ns where all are whole numbers (HTK), else in seconds; or, after a line "#", "end number phone" in
    seconds, each beginning where the one before ends (Festival).

    Raises:
        UserError: a line that is none of these, or that ends before it begins.
    """
    lines = [line.split() for line in path.read_text(encoding="utf-8", errors="replace").splitlines()]
    counted = [(number, parts) for number, parts in enumerate(lines, 1) if parts]
    if path.suffix.lower() == ".phn":
        return [_segment(path, number, parts, rate / _file_rate(path)) for number, parts in counted]
    mark = next((i for i, (_, parts) in enumerate(counted) if parts[0] == "#"), None)
    if mark is None:
        whole = all(part.isdecimal() for _, parts in counted for part in parts[:2])
        return [_segment(path, number, parts, rate / _HTK_UNITS if whole else rate) for number, parts in counted]
    counted = counted[mark + 1 :]
    ends = ["0", *(parts[0] for _, parts in counted)]
    return [
        _segment(path, number, [begin, *parts[:1], *parts[2:3]], rate)
        for begin, (number, parts) in zip(ends, counted, strict=False)
    ]


def _segment(path: Path, number: int, parts: list[str], scale: float) -> tuple[int, int, str]:
    try:
        begin, end, phone = float(parts[0]), float(parts[1]), parts[2]
    except (IndexError, ValueError) as error:
        raise UserError(
            f"{path}, line {number}: {' '.join(parts)!r} is no label; expected begin, end, phone: correct it, or move "
            "the file away."
        ) from error
    if not 0 <= begin <= end < float("inf"):
        raise UserError(f"{path}, line {number}: a phone from {parts[0]} to {parts[1]}; expected 0 <= begin <= end.")
    return round(begin * scale), round(end * scale), phone


def _file_rate(path: Path) -> int:
    """Samples per second of the WAV file beside a label file."""
    sound = next((p for p in (path.with_suffix(".wav"), path.with_suffix(".WAV")) if p.is_file()), None)
    if sound is None:
        return TIMIT_RATE
    return read_wav(sound)[1]
