"""Sections that the pages of every modality have, and how they show pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from vq_vae_tf.evaluation import plots
from vq_vae_tf.evaluation.codebook import codebook_use
from vq_vae_tf.evaluation.report import Picture, Row, Section, Settings, Table

COLUMN = 896
"""Width of the text column in CSS pixels: pictures are enlarged by the largest integer that fits."""

PERPLEXITY = (
    "2 to the power of the entropy of the codes over the whole split: how many equally used codes would carry as much."
)
DEAD = "Codes that no example of the split uses."
UNIGRAM = "Entropy of this split's own code frequencies: the least that a model without context can spend."

CURVES = "Over the training step; faint: as logged, strong: smoothed."
OF_VQVAE = "The loss is the sum of the rest, in nats per dimension of x (a channel of a pixel, a sample of a sound): "
TERMS = {
    "reconstruction": "reconstruction is -log p(x | codes), or the error of spectra or contrast that stands for it",
    "quantization": "quantization is the weighted squared distance of vectors from their codes, and whatever else the "
    "quantizer charges",
    "conversion": "conversion is what critics find wrong with sounds decoded in other voices",
}
"""Of a VQ-VAE's loss: see `loss_terms` of the models."""
OF_PRIOR = "The loss is the mean of -log p(code | codes before it) in nats; bits per code is the same in bits."


def codebook_section(counts: Any, split: str) -> Section:
    """How much of the codebook a split uses; counts `[num_codes]` or `[num_codebooks, num_codes]`."""
    use, num_codes = codebook_use(counts), np.shape(counts)[-1]
    books = use.per_codebook if len(use.per_codebook) > 1 else ()
    columns = ["all", *(f"codebook {i}" for i in range(1, len(books) + 1))] if books else [split]
    uses = [use, *books]
    rows = [
        Row("perplexity", [u.perplexity for u in uses], f"of {num_codes}", PERPLEXITY, 1),
        Row("entropy", [u.entropy_bits for u in uses], "bits/code", UNIGRAM, 3),
        Row("codes in use", [u.codes_in_use for u in uses]),
        Row("dead codes", [u.dead_codes for u in uses], "", DEAD),
        Row("codes counted", [u.num_symbols for u in uses]),
    ]
    usage = themed(lambda theme: plots.code_usage(counts, theme), "How often each code is used, most used first")
    return Section("Codebook", [usage, Table(columns, rows)])


def training_sections(metrics: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[Section]:
    """The curves of every stage that has any: name -> records of its `metrics.jsonl`."""
    return [_training(name, records) for name, records in metrics.items() if records]


def configuration_section(settings: Mapping[str, Mapping[str, Any]]) -> Section:
    """All flags, folded away: section -> flags and values."""
    items = [Settings(title, values, folded=True) for title, values in settings.items()]
    return Section("Configuration", items, "Every flag of the run; the same lines stand in config.flags.")


def themed(draw: Callable[[plots.Theme], bytes], alt: str, caption: str = "") -> Picture:
    """A plot as wide as the column, in the ink of light and of dark pages."""
    return Picture(draw(plots.LIGHT), alt, caption, dark=draw(plots.DARK), scrolls=True)


def sharp(png: bytes, width: int, alt: str, caption: str = "") -> Picture:
    """A picture `width` pixels wide, which stay squares; one that is wider than the page scrolls."""
    return Picture(png, alt, caption, pixels=width * max(1, enlargement(width)), crisp=True, scrolls=True)


def enlargement(width: int, room: int = COLUMN) -> int:
    """CSS pixels of a pixel of a picture `width` pixels wide: the largest integer up to 4 that fits; 0 if none does."""
    return min(4, room // width)


def _training(name: str, records: Sequence[Mapping[str, Any]]) -> Section:
    left_out = {"step", "seconds", "steps_per_second", "learning_rate"}
    keys = list(dict.fromkeys(key for record in records for key in record if key not in left_out))
    panels = {key.replace("_", " "): [key] for key in keys}
    curves = themed(
        lambda theme: plots.training_curves(records, panels, theme), f"Curves of {', '.join(panels)} over the steps"
    )
    return Section(f"Training: {name}", [curves], f"{CURVES} {_loss_in_words(keys)}")


def _loss_in_words(keys: Sequence[str]) -> str:
    if "bits_per_code" in keys:
        return OF_PRIOR
    return OF_VQVAE + "; ".join(meaning for key, meaning in TERMS.items() if key in keys) + "."
