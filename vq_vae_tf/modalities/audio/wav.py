"""Sound files: read to mono at one rate, written as 16-bit WAV."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf

from vq_vae_tf.errors import UserError
from vq_vae_tf.files import check_name, replacing
from vq_vae_tf.modalities.audio.resample import resample

CODECS = {".wav", ".flac", ".ogg", ".mp3"}
"""Endings of the files that can be read; all but WAV need the `audio` extra."""

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
    x, found = _wav(path) if suffix == ".wav" else _coded(path, suffix)
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


def _wav(path: Path) -> tuple[np.ndarray, int]:
    try:
        x, rate = tf.audio.decode_wav(tf.io.read_file(str(path)))
    except (tf.errors.OpError, UnicodeDecodeError) as error:  # the message quotes the file, whose bytes may be no text
        raise UserError(f"{path}: no WAV file of 16-bit PCM or a broken one; convert it to 16-bit PCM.") from error
    if rate < 1:
        raise UserError(
            f"{path}: the header says {int(rate)} samples per second, expected at least 1; repair the file."
        )
    return x.numpy(), int(rate)


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
