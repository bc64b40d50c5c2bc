"""What the report of an image run says, from what the stages measured."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vq_vae_tf.evaluation.codebook import CodebookUse, codebook_use
from vq_vae_tf.evaluation.grids import beside_grid, encode_png, image_grid
from vq_vae_tf.evaluation.likelihood import LikelihoodScores
from vq_vae_tf.evaluation.prior import PriorScores
from vq_vae_tf.evaluation.reconstruction import ReconstructionScores
from vq_vae_tf.evaluation.report import (
    Gallery,
    Number,
    Picture,
    Report,
    Row,
    Section,
    Table,
    counted,
    format_number,
)
from vq_vae_tf.evaluation.sections import (
    COLUMN,
    DEAD,
    PERPLEXITY,
    UNIGRAM,
    codebook_section,
    configuration_section,
    enlargement,
    training_sections,
)

NMSE = (
    "Mean squared error divided by the variance of the training pixels: 0 is perfect, 1 is what a single colour, the "
    "mean of the data, would score."
)
PSNR = (
    "Peak signal-to-noise ratio, 10 log10(1 / MSE), from the mean squared error of the whole split; 3 dB more is half "
    "the error."
)
SSIM = "Structural similarity, mean over images: agreement of local brightness, contrast and structure; 1 is identical."
RATIO = "Bits of the uncompressed image (8 per channel) over bits of its codes (log2 K each), as the paper computes it."
UNIFORM = "log2 K: a code without any model of the codes."
PRIOR = (
    "Cross entropy of this split under the learned prior; what it spends less than the code frequencies alone is "
    "context that it has learnt."
)
BITS = "Upper bound on -log2 p(x) per pixel and channel: distortion plus rate; an uncompressed image has 8."
DISTORTION = "-log2 p(x | codes) per dimension: what is left to say about the picture once its codes are known."
RATE = "-log2 p(codes) per dimension: what the codes cost."

DRAWN = (
    "Drawn codes: each with a probability by its distance, as in training. The rate is then what the prior says beyond "
    "what that leaves open: codes that nearly tie need not be told apart."
)
BOUNDS = {"uniform": "uniform prior", "learned": "learned prior", "drawn": "drawn codes"}
"""Headings of the parts of a bound's name."""


def heading(name: str) -> str:
    """Of a bound: `uniform_drawn_iw8` is "uniform prior, drawn codes, 8 codings"."""
    parts = (BOUNDS.get(part, part) for part in name.split("_"))
    return ", ".join(f"{part[2:]} codings" if part[:2] == "iw" and part[2:].isdigit() else part for part in parts)


SEARCHED = (
    "The same decoder, but codes found by trying, at each place, {candidates} nearby codes, {times} over: "
    "slower to encode, nothing else changes."
)
WEIGHED = " A nat of the codes' rate under the learned prior was weighed as {weight:g} nats of the loss."
LIMITED = (
    " An image may have {limit} bytes: shown is the closest that fits, of those that were tried with a weight of its "
    "own for a nat of the codes' rate under the learned prior."
)
CODED = "Bytes of every image's codes, arithmetically coded under the learned prior and decoded again."


@dataclass(frozen=True)
class Messages:
    """Code maps, each coded arithmetically by itself.

    bits_per_code: in whole bytes. limit: bytes that a map was to take at most; 0: any number. longest: bytes of one.
    above: maps that take more than the limit; None without one.
    """

    bits_per_code: float
    limit: int
    longest: int
    above: int | None


@dataclass(frozen=True)
class Searched:
    """Scores of a split under codes found by search: see `vq_vae_tf.search`.

    messages: the codes coded arithmetically under the learned prior; None where the search did not weigh their rate.
    reconstructions: of the first images, decoded from these codes.
    """

    candidates: int
    sweeps: int
    rate_weight: float
    messages: Messages | None
    reconstruction: ReconstructionScores
    use: CodebookUse
    likelihood: Mapping[str, LikelihoodScores]
    reconstructions: Any


@dataclass(frozen=True)
class ImageRun:
    """Everything that stands in the report; what a stage did not make is left empty.

    Args:
        name: of the run.
        dataset: name of the data.
        split: the split that was scored.
        num_codes: K, per codebook.
        code_shape: of one image's codes.
        counts: code counts of the split, `[num_codes]` or `[num_codebooks, num_codes]`.
        reconstruction: scores of the split.
        originals: a few images `[n, height, width, channels]` in 0..255.
        reconstructions: the same, decoded from their codes.
        likelihood: name of the prior ("uniform", "learned") -> bound under it.
        prior: scores of the learned prior.
        samples: class name ("" without labels) -> images `[n, height, width, channels]`.
        metrics: stage name -> records of its `metrics.jsonl`.
        settings: section -> flags and values: the resolved config.
        searched: the split again, under codes found by search.
        facts: lines for the foot of the page, such as the version, the seed and the time.
    """

    name: str
    dataset: str
    split: str
    num_codes: int
    code_shape: tuple[int, ...]
    counts: Any
    reconstruction: ReconstructionScores
    originals: Any
    reconstructions: Any
    likelihood: Mapping[str, LikelihoodScores] = field(default_factory=dict)
    prior: PriorScores | None = None
    samples: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    searched: Searched | None = None
    facts: Sequence[str] = ()


def image_report(run: ImageRun) -> Report:
    """The page about `run`, for `write_report`."""
    use = codebook_use(run.counts)
    sections = [_reconstructions(run), codebook_section(run.counts, run.split)]
    if run.samples:
        sections.insert(0, _samples(run))
    if run.searched is not None:
        sections.append(_searched(run, run.searched, use))
    if run.prior is not None:
        sections.append(_prior(run.prior))
    if run.likelihood:
        sections.append(_likelihood(run.likelihood))
    sections += training_sections(run.metrics)
    if run.settings:
        sections.append(configuration_section(run.settings))
    return Report(run.name, _subtitle(run), _headline(run, use), sections, "VQ-VAE · images", run.facts)


def compression_ratio(image_shape: Sequence[int], code_shape: Sequence[int], num_codes: int) -> float:
    """Bits of an 8-bit image over bits of its codes. Paper: section 4.1, 128 x 128 x 3 x 8 / (32 x 32 x 9) = 42.6."""
    return math.prod(image_shape) * 8 / (math.prod(code_shape) * math.log2(num_codes))


def _subtitle(run: ImageRun) -> str:
    height, width, channels = np.asarray(run.originals).shape[1:]
    grid = " × ".join(str(side) for side in run.code_shape)
    bits = math.prod(run.code_shape) * math.log2(run.num_codes)
    kind, scored = "colour" if channels == 3 else "grey", counted(run.reconstruction.num_examples, "image")
    return (
        f"{run.dataset}: {height} × {width} {kind} images as {grid} codes of {run.num_codes} words, "
        f"{bits:,.0f} bits an image. Reconstructions are scored on {scored} of the split "
        f"“{run.split}”, rounded to 8 bits as an export serves them."
    )


def _headline(run: ImageRun, use: CodebookUse) -> list[Number]:
    scores = run.reconstruction
    ratio = compression_ratio(np.asarray(run.originals).shape[1:], run.code_shape, run.num_codes)
    numbers = [
        Number("normalised MSE", scores.normalized_mse, "", NMSE, 4),
        Number("PSNR", scores.psnr, "dB", PSNR, 2),
        Number("SSIM", scores.ssim, "", SSIM, 3),
        Number("perplexity", use.perplexity, "", PERPLEXITY, 1),
        Number("compression", ratio, ": 1", RATIO, 1),
    ]
    if run.prior is not None:
        numbers.append(Number("prior", run.prior.bits_per_code, "bits/code", PRIOR, 2))
    return numbers


def _reconstructions(run: ImageRun) -> Section:
    grid = _beside(run.originals, run.reconstructions)
    alt = f"{counted(len(run.originals), 'image')}, each beside its reconstruction"
    picture = _crisp(grid, alt, "Left of each pair: the original. Right: decoded from its codes.")
    scores = run.reconstruction
    rows = [
        Row("normalised MSE", [scores.normalized_mse], "", NMSE, 4),
        Row("mean squared error", [scores.mse], "of x / 255", "", 6),
        Row("PSNR", [scores.psnr], "dB", PSNR, 2),
        Row("SSIM", [scores.ssim], "", SSIM, 4),
        Row("images", [scores.num_examples]),
    ]
    return Section("Reconstructions", [picture, Table([run.split], rows)])


def _searched(run: ImageRun, found: Searched, use: CodebookUse) -> Section:
    own, better = run.reconstruction, found.reconstruction
    rows = [
        Row("normalised MSE", [own.normalized_mse, better.normalized_mse], "", NMSE, 4),
        Row("PSNR", [own.psnr, better.psnr], "dB", PSNR, 2),
        Row("SSIM", [own.ssim, better.ssim], "", SSIM, 4),
        Row("perplexity", [use.perplexity, found.use.perplexity], "", PERPLEXITY, 1),
        Row("dead codes", [use.dead_codes, found.use.dead_codes], "", DEAD),
    ]
    for name, bound in found.likelihood.items():
        both = [run.likelihood[name].bits_per_dim, bound.bits_per_dim]
        rows.append(Row(heading(name), both, "bits/dim", BITS))
    text = SEARCHED.format(candidates=found.candidates, times=counted(found.sweeps, "time"))
    if (coded := found.messages) is not None:
        rows.append(Row("bits a code, coded", [None, coded.bits_per_code], "", CODED, 3))
        rows.append(Row("bytes of the longest", [None, coded.longest]))
        text += (LIMITED if coded.limit else WEIGHED).format(weight=found.rate_weight, limit=coded.limit)
        if coded.above:
            rows.append(Row("images above the limit", [None, coded.above]))
    grid = _beside(run.originals, run.reconstructions, found.reconstructions)
    alt = f"{counted(len(run.originals), 'image')}, each beside its two reconstructions"
    picture = _crisp(
        grid, alt, "Left of each three: the original. Middle: from the encoder's codes. Right: from those found."
    )
    return Section("Codes found by search", [picture, Table(["encoder", "search"], rows)], text)


def _samples(run: ImageRun) -> Section:
    rows = []
    for name, images in run.samples.items():
        what = counted(len(images), "sample") + (f" of the class {name}" if name else "")
        rows.append((name, _crisp(image_grid(images, len(images) if name else 8), what, room=COLUMN - 140)))
    text = "Codes drawn from the prior, decoded" + ("; one row a class." if len(rows) > 1 else ".")
    return Section("Samples", [Gallery(rows)], text)


def _prior(scores: PriorScores) -> Section:
    bits = {
        ("uniform", UNIFORM): scores.uniform_bits,
        ("frequencies alone", UNIGRAM): scores.unigram_bits,
        ("learned prior", PRIOR): scores.bits_per_code,
    }
    each = scores.codes_per_example
    rows = [Row(name, [b, format_number(b * each, 1)], "", meaning) for (name, meaning), b in bits.items()]
    return Section("Prior", [Table(["bits/code", "bits/image"], rows)])


def _likelihood(scores: Mapping[str, LikelihoodScores]) -> Section:
    each = list(scores.values())
    rows = [
        Row("total", [s.bits_per_dim for s in each], "bits/dim", BITS),
        Row("distortion", [s.distortion_bits_per_dim for s in each], "bits/dim", DISTORTION),
        Row("rate", [s.rate_bits_per_dim for s in each], "bits/dim", RATE),
        Row("total", [s.nats for s in each], "nats/image", "", 1),
        Row("standard error", [s.standard_error for s in each], "bits/dim", "Of the total, over images.", 4),
    ]
    text = DRAWN if any("drawn" in name for name in scores) else ""
    return Section("Likelihood", [Table([heading(name) for name in scores], rows)], text)


def _beside(*versions: Any) -> np.ndarray:
    count, _, width, _ = np.asarray(versions[0]).shape
    return beside_grid(versions, _columns(count, len(versions) * max(width, 64)), gap=max(2, width // 8))


def _columns(count: int, width: int) -> int:
    """How many that are so many CSS pixels wide stand in a row: as many as fit; fewer if the last row is full then."""
    most = max(1, min(count, COLUMN // (width + 16)))
    return next((c for c in range(most, most // 2, -1) if count % c == 0), most)


def _crisp(grid: np.ndarray, alt: str, caption: str = "", room: int = COLUMN) -> Picture:
    """A picture of few pixels, enlarged by an integer; one that does not fit is left to the browser to reduce."""
    factor = enlargement(grid.shape[1], room)
    return Picture(encode_png(grid), alt, caption, pixels=grid.shape[1] * factor or room, crisp=factor > 0)
