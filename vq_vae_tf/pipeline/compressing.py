"""Pictures to one small file and back: the VQ-VAE's codes, arithmetically coded under the prior."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from vq_vae_tf.errors import UserError
from vq_vae_tf.evaluation.grids import encode_png
from vq_vae_tf.evaluation.reconstruction import as_served
from vq_vae_tf.evaluation.report import counted
from vq_vae_tf.files import replacing, visible_files
from vq_vae_tf.hierarchy.layout import TWO_LEVEL
from vq_vae_tf.modalities.image.pictures import read_picture
from vq_vae_tf.packed import Packed, codes_digest, read_packed, write_packed
from vq_vae_tf.pipeline.coding import coder, compressor
from vq_vae_tf.pipeline.decoding import decoder
from vq_vae_tf.pipeline.loading import model_digests, trained_pair
from vq_vae_tf.pipeline.run import Run
from vq_vae_tf.prior import Prior
from vq_vae_tf.progress import shown
from vq_vae_tf.vqvae import VQVAE

BATCH = 64


def compress_pictures(run: Run, inputs: Sequence[str], output: Path) -> str:
    """Packs picture files, or all in a folder, each cut to its centred square and resized as in training.

    Raises: UserError for a run or a file that does not do.
    """
    vqvae, prior = _pair(run)
    names, pictures = _read(inputs, run.known.image_shape)
    code_of, packer = coder(run, vqvae, prior), compressor(prior)
    parts, messages = [], []
    for x in _batches(pictures, "compress"):
        parts.append(code_of({"x": x}).numpy())
        messages += packer.compress(parts[-1])
        _check_sizes(names, messages, run.config.evaluation.search_bytes)
    codes = np.concatenate(parts)
    digests = model_digests(run)
    packed = Packed(
        names=names,
        vqvae=digests["vqvae"],
        prior=digests["prior"],
        digest=codes_digest(codes),
        messages=tuple(messages),
    )
    written = write_packed(output, packed)
    bits = 8.0 * sum(map(len, messages)) / codes.size
    fewer = f"{pictures.nbytes / written:.1f} times fewer than their pixels"
    return (
        f"{counted(len(names), 'picture')} in {output}: {written} bytes, {fewer}; {bits:.2f} bits a code of "
        f"{np.log2(vqvae.quantizer.num_codes):.2f}"
    )


def decompress_pictures(run: Run, source: Path, output: Path) -> str:
    """Writes every picture of a packed file as a PNG into a folder. Raises: UserError for a file that does not do."""
    packed = read_packed(source)
    for stage, digest in model_digests(run).items():
        if getattr(packed, stage) != digest:
            raise UserError(
                f"{source} was packed by another {stage} than that of {run.directory}; give the run that made it."
            )
    vqvae, prior = _pair(run)
    packer = compressor(prior)
    try:
        codes = np.concatenate([packer.decompress(part) for part in _batches(packed.messages, "decompress")])
    except ValueError as error:
        raise UserError(f"{source} cannot be read: {error}") from error
    if codes_digest(codes) != packed.digest:
        raise UserError(
            f"{source} was not read as it was written: it is damaged, or this machine or TensorFlow {tf.__version__} "
            "computes the prior with other last digits than the one that packed it; unpack it there."
        )
    images = np.concatenate([as_served(decoder(vqvae)(tf.constant(part))) for part in _batches(codes, "decode")])
    try:
        for name, image in zip(_file_names(packed.names), images, strict=True):
            with replacing(output / name) as partial:
                partial.write_bytes(encode_png(image))
    except OSError as error:
        raise UserError(f"{output} cannot be written ({error.strerror}); give a folder that can.") from error
    return f"{counted(len(images), 'picture')} in {output}"


def _check_sizes(names: Sequence[str], messages: Sequence[bytes], most: int) -> None:
    """Raises: UserError for the first picture that does not fit."""
    for name, message in zip(names, messages, strict=False):
        if most and len(message) > most:
            raise UserError(
                f"{name}: no coding within --search_bytes={most} was found, the last tried has {len(message)}; give "
                "more bytes, or more --search_sweeps."
            )


def _pair(run: Run) -> tuple[VQVAE, Prior]:
    if run.config.data.modality != "image":
        raise UserError(f"--workdir={run.directory} holds a run of {run.config.data.modality}; give one of images.")
    vqvae, prior = trained_pair(run)
    if vqvae.quantizer.layout == TWO_LEVEL:
        raise UserError(f"--workdir={run.directory} has codes on two levels; only those of one grid can be packed.")
    if prior.network.num_labels:
        raise UserError(
            f"The prior of {run.directory} wants to know each picture's class; train one with --prior_labels=false."
        )
    return vqvae, prior


def _read(inputs: Sequence[str], shape: tuple[int, int, int]) -> tuple[tuple[str, ...], np.ndarray]:
    """Names and pixels of the files, folders looked through."""
    files: list[tuple[str, Path]] = []
    for text in inputs:
        path = Path(text)
        if not path.exists():
            raise UserError(f"--input={text}: no such file or folder; give pictures.")
        found = sorted(visible_files(path)) if path.is_dir() else [path]
        files += [(str(file.relative_to(path)) if path.is_dir() else file.name, file) for file in found]
    if not files:
        raise UserError(f"--input={','.join(inputs)} holds no file; give pictures.")
    pictures = np.stack([read_picture(file, shape, "--input") for _, file in shown(files, "read")])
    return tuple(name for name, _ in files), pictures


def _batches(rows: Any, title: str) -> Iterator[Any]:
    """`BATCH` rows at a time, and how far that is."""
    starts = range(0, len(rows), BATCH)
    for start in shown(starts, title):
        yield rows[start : start + BATCH]


def _file_names(names: Sequence[str]) -> list[str]:
    """A PNG for each name: below the folder whatever the file says, and no two the same."""
    found: dict[str, None] = {}
    for name in names:
        parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".", "..")]
        stem = "/".join([*parts[:-1], Path(parts[-1]).stem]) if parts else "picture"
        number, chosen = 1, stem
        while f"{chosen}.png" in found:
            number, chosen = number + 1, f"{stem}-{number + 1}"
        found[f"{chosen}.png"] = None
    return list(found)
