"""A sound file in the voice of another speaker."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from vq_vae_tf.disk import check_output
from vq_vae_tf.errors import UserError
from vq_vae_tf.modalities.audio.likelihood.logmel import PHASE_REACH
from vq_vae_tf.modalities.audio.wav import read_sound, write_wav
from vq_vae_tf.pipeline.loading import load_vqvae
from vq_vae_tf.pipeline.run import Run
from vq_vae_tf.pipeline.speaking import decoder
from vq_vae_tf.progress import shown
from vq_vae_tf.vqvae import VQVAE
from vq_vae_tf.windows import by_windows

CHUNK = 1024
"""Frames that are converted at a time: bounds the memory."""
WINDOWS = 64
"""Windows that a WaveNet draws at a time, each with noise of its own."""
_MARGIN = 2
"""Log-mel frames on either side of a part that its own frames see."""


def convert_file(run: Run, source: Path, speaker: str, output: Path) -> str:
    """Encodes `source`, decodes it as `speaker`, writes a WAV file of exactly its length at the run's rate.

    Raises: UserError for a run that is not of audio, an unknown speaker or a file that cannot be read or written.
    """
    if run.config.data.modality != "audio":
        raise UserError(f"--workdir={run.directory} holds a run of {run.config.data.modality}; give one of audio.")
    if output.suffix.lower() != ".wav":
        raise UserError(f"--output={output} is no WAV file; give a name that ends in .wav.")
    if output.exists() and source.exists() and output.samefile(source):
        raise UserError(f"--output={output} is the sound itself; give another name.")
    check_output(output)
    names = run.known.class_names
    if speaker not in names:
        raise UserError(f"--speaker={speaker!r} is no speaker of this run; choose one of {', '.join(names)}.")
    x = read_sound(source, run.known.rate)
    vqvae, _ = load_vqvae(run)
    write_wav(output, convert(vqvae, x, names.index(speaker), run.known.window), run.known.rate)
    return f"{len(x) / run.known.rate:.2f} s in the voice of {speaker} in {output}"


def convert(vqvae: VQVAE, x: np.ndarray, speaker: int, window: int, chunk: int = CHUNK) -> np.ndarray:
    """The sound `[time]` in another voice, of the same length.

    All samples at once: in chunks with as many frames around each as its convolutions see, so that chunks give what the
    whole gives. With a WaveNet: window by window, each begun from silence, `WINDOWS` of them at once.
    """
    hop, decode = vqvae.encoder.hop, decoder(vqvae)
    looping = hasattr(vqvae.likelihood, "network")
    step, context = (window // hop * WINDOWS, 0) if looping else (chunk, _context(vqvae))
    frames = -(-len(x) // window) * (window // hop) if looping else -(-len(x) // hop)
    padded = np.pad(x.astype(np.float32), (0, frames * hop - len(x)))
    label = tf.constant([speaker], tf.int32)
    encode, out = _encoder(vqvae, padded, chunk * hop), []
    starts = range(0, frames, step)
    for first in shown(starts, "convert"):
        begin, end = max(0, first - context), min(frames, first + step + context)
        codes = encode(padded[None, begin * hop : end * hop])
        made: Any = (by_windows(decode, codes, label, window // hop) if looping else decode(codes, label)).numpy()[0]
        out.append(made[(first - begin) * hop : (min(first + step, frames) - begin) * hop])
    return np.concatenate(out)[: len(x)]


def _encoder(vqvae: VQVAE, whole: np.ndarray, part: int) -> Callable[[np.ndarray], Any]:
    """Codes of a part of a sound, of which every part is heard against the mean of the whole, if the encoder does."""
    if not getattr(vqvae.encoder, "centred", False):
        return vqvae.encode
    mel = vqvae.encoder.frames
    total: Any = 0.0
    count: Any = 0.0
    for first in range(0, len(whole), part):
        begin = max(0, first - _MARGIN * mel.hop)
        skipped = (first - begin) // mel.hop
        heard = whole[None, begin : first + part + _MARGIN * mel.hop]
        sums = mel.totals(heard, skipped, skipped + len(whole[first : first + part]) // mel.hop)
        total, count = total + np.asarray(sums[0]), count + np.asarray(sums[1])
    mean = total / np.maximum(count, 1.0)
    return lambda x: vqvae.quantizer.encode(vqvae.encoder(x, mean=mean, training=False))


def _context(vqvae: VQVAE) -> int:
    """Frames on either side that a frame of the output depends on, at most."""
    phases = -(-PHASE_REACH // math.prod(vqvae.encoder.strides[1:])) if hasattr(vqvae.likelihood, "cepstra") else 0
    blocks = vqvae.encoder.residual_blocks + vqvae.decoder.residual_blocks
    return sum(3 ** (i % 3) for i in range(blocks)) + 9 * (len(vqvae.encoder.strides) + 1) + 8 + phases
