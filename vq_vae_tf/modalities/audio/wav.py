"""Sound files: read to mono at one rate, written as 16-bit WAV."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import tensorflow as tf

from vq_vae_tf.errors import UserError
from vq_vae_tf.files import check_name, replacing
from vq_vae_tf.modalities.audio.resample import resample

CODECS = {".wav", ".flac", ".ogg", ".mp3"}
"""Endings of the files that can be read; all but WAV need the `audio` extra."""

_RATES = (1_000, 768_000)
_PCM, _FLOAT, _EXTENSIBLE, _UNKNOWN = 1, 3, 0xFFFE, 0xFFFFFFFF  # the last is a size that a pipe could not go back to
_KINDS = {
    (_PCM, 8): "u1",
    (_PCM, 16): "<i2",
    (_PCM, 24): "<i4",
    (_PCM, 32): "<i4",
    (_FLOAT, 32): "<f4",
    (_FLOAT, 64): "<f8",
}

_CODECS_ADVICE = (
    "convert the file to WAV, or on Python 3.11 or 3.12: pip install 'vq_vae_tf[audio]', which brings TensorFlow 2.17."
)


def read_sound(path: Path, rate: int) -> np.ndarray:
    """The sound, float32 `[time]` in [-1, 1] at `rate` samples per second; channels are averaged.

    Raises:
        UserError: no such file, an unknown ending, a broken header, no samples, or samples that are no numbers.
    """
    check_name(path)
    suffix = path.suffix.lower()
    if not path.is_file():
        raise UserError(f"{path}: no such file, expected a sound.")
    if suffix not in CODECS:
        raise UserError(f"{path}: {suffix or 'no'} ending, expected one of {', '.join(sorted(CODECS))}; convert it.")
    x, found = read_wav(path) if suffix == ".wav" else _coded(path, suffix)
    if not _RATES[0] <= found <= _RATES[1]:
        raise UserError(
            f"{path}: the header says {found} samples per second, expected {_RATES[0]} to {_RATES[1]}; repair the file."
        )
    if not x.size:
        raise UserError(f"{path}: the file has no samples, expected a sound; leave it out.")
    if not np.isfinite(x).all():
        raise UserError(f"{path}: some samples are NaN or infinite, expected numbers in [-1, 1]; repair the file.")
    return np.clip(resample(x.mean(axis=1), found, rate), -1.0, 1.0)


def wav_bytes(x: np.ndarray, rate: int) -> bytes:
    """A mono 16-bit WAV file; what lies outside [-1, 1] is clipped."""
    clipped = np.clip(np.asarray(x, np.float32), -1.0, 1.0)
    return tf.audio.encode_wav(clipped[:, None], rate).numpy()


def write_wav(path: Path, x: np.ndarray, rate: int) -> None:
    """Writes the sound `[time]`, whole or not at all. Raises: UserError if the file cannot be written."""
    try:
        with replacing(path) as partial:
            partial.write_bytes(wav_bytes(x, rate))
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}); give a folder that can.") from error


def read_wav(path: Path) -> tuple[np.ndarray, int]:
    """The samples of a WAV file, float32 `[time, channels]`, full scale being 1, and how many come in a second.

    PCM of 8, 16, 24 or 32 bits and floats of 32 or 64, also under the header for several channels.

    Raises: UserError for another file.
    """
    try:
        return _parsed(path.read_bytes())
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); give read permission, or leave it out.") from error
    except (ValueError, struct.error) as error:
        raise UserError(
            f"{path}: no readable WAV file ({error}); expected PCM of 8, 16, 24 or 32 bits, or floats: convert it."
        ) from error


def _parsed(content: bytes) -> tuple[np.ndarray, int]:
    if content[:4] != b"RIFF" or content[8:12] != b"WAVE":
        raise ValueError("it does not begin as one")
    at, form = 12, None
    while at + 8 <= len(content):
        name, size = content[at : at + 4], int.from_bytes(content[at + 4 : at + 8], "little")
        body = content[at + 8 : at + 8 + size]
        if len(body) < size and (name, size) != (b"data", _UNKNOWN):
            raise ValueError("cut short")
        if name == b"fmt ":
            form = struct.unpack_from("<HHIIHH", body)
            if form[0] == _EXTENSIBLE:
                form = (int.from_bytes(body[24:26], "little"), *form[1:])
        if name == b"data":
            if form is None:
                raise ValueError("its samples come before their format")
            kind, channels, rate, _, _, bits = form
            return _as_floats(body, kind, bits, channels), rate
        at += 8 + size + size % 2
    raise ValueError("it has no samples")


def _as_floats(body: bytes, kind: int, bits: int, channels: int) -> np.ndarray:
    if (kind, bits) not in _KINDS or not channels:
        raise ValueError(f"{bits} bits of kind {kind} on {channels} channels")
    frame = bits // 8 * channels
    raw = np.frombuffer(body, np.uint8, len(body) // frame * frame)
    if bits == 24:  # the upper three bytes of 32 bits
        raw = np.pad(raw.reshape(-1, 3), ((0, 0), (1, 0))).reshape(-1)
    values = raw.view(_KINDS[kind, bits])
    if kind == _PCM:
        most = 128.0 if bits == 8 else 2.0 ** (8 * values.itemsize - 1)
        values = values / np.float32(most) - np.float32(bits == 8)
    return values.astype(np.float32).reshape(-1, channels)


def _coded(path: Path, suffix: str) -> tuple[np.ndarray, int]:
    try:
        import tensorflow_io as tfio
    except ImportError as error:
        raise UserError(f"{path}: {suffix} needs tensorflow-io, which is not installed; {_CODECS_ADVICE}") from error
    try:
        sound = tfio.audio.AudioIOTensor(str(path))
        x, rate = sound.to_tensor(), int(sound.rate)
    except NotImplementedError as error:  # raised where its library has not loaded, never for a file
        raise UserError(
            f"{path}: {suffix} needs tensorflow-io, and the one installed does not load on TensorFlow "
            f"{tf.__version__}; {_CODECS_ADVICE}"
        ) from error
    except (tf.errors.OpError, ValueError) as error:
        raise UserError(f"{path}: no readable {suffix} file ({type(error).__name__}); convert it to WAV.") from error
    values = x.numpy()
    if np.issubdtype(values.dtype, np.integer):
        most = 2.0 ** (np.iinfo(values.dtype).bits - 1)
        values = values / most - float(np.issubdtype(values.dtype, np.unsignedinteger))  # FLAC of 8 bits: zero is 128
    return values.astype(np.float32), rate
