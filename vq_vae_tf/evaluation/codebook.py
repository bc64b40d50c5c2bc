"""How much of the codebook a whole split uses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from vq_vae_tf.ops.entropy import entropy_bits, perplexity


@dataclass(frozen=True)
class CodebookUse:
    """Use of one codebook, or of several together (see `codebook_use`)."""

    num_codes: int
    num_symbols: int
    codes_in_use: int
    dead_codes: int
    entropy_bits: float
    """Bits per code of the best code that knows only how often each code occurs."""
    perplexity: float
    per_codebook: tuple[CodebookUse, ...] = ()


def code_counts(batches: Iterable[Mapping[str, Any]], num_codes: int, num_codebooks: int | None = None) -> np.ndarray:
    """How often each code occurs, int64 `[num_codes]` or `[num_codebooks, num_codes]`.

    Args:
        batches: dictionaries with "codes", int32 `[batch, *grid]` or `[batch, *grid, num_codebooks]`.
        num_codes: K, per codebook.
        num_codebooks: None where codes have no channel axis.

    Raises:
        ValueError: a code lies outside 0..K-1, or the last axis is not the codebooks.
    """
    books = num_codebooks or 1
    counts = np.zeros(books * num_codes, np.int64)
    for batch in batches:
        codes = np.asarray(batch["codes"])
        if num_codebooks is not None and codes.shape[-1] != books:
            raise ValueError(f"code_counts: codes are {codes.shape}; expected a last axis of {books} codebooks.")
        if codes.size and (codes.min() < 0 or codes.max() >= num_codes):
            raise ValueError(f"code_counts: codes lie in {codes.min()}..{codes.max()}; expected 0..{num_codes - 1}.")
        flat = codes.reshape(-1, books) + np.arange(books) * num_codes
        counts += np.bincount(flat.reshape(-1), minlength=counts.size)
    return counts if num_codebooks is None else counts.reshape(books, num_codes)


def codebook_use(counts: Any) -> CodebookUse:
    """Entropy, perplexity and dead codes of `counts` `[num_codes]` or `[num_codebooks, num_codes]`.

    Equation: `vq_vae_tf.ops.entropy` of p = counts / sum(counts); a code is dead if no symbol uses it.
    Of several codebooks: the entropy is their mean (bits per code), the perplexity 2^entropy, and the numbers of codes
    are added up; `per_codebook` has each one's own.
    """
    counts = np.asarray(counts)
    books = [_use(row) for row in np.atleast_2d(counts)]
    if counts.ndim == 1:
        return books[0]
    entropy = float(np.mean([book.entropy_bits for book in books]))
    return CodebookUse(
        num_codes=sum(book.num_codes for book in books),
        num_symbols=sum(book.num_symbols for book in books),
        codes_in_use=sum(book.codes_in_use for book in books),
        dead_codes=sum(book.dead_codes for book in books),
        entropy_bits=entropy,
        perplexity=2.0**entropy,
        per_codebook=tuple(books),
    )


def _use(counts: np.ndarray) -> CodebookUse:
    in_use = int(np.count_nonzero(counts))
    return CodebookUse(
        num_codes=counts.size,
        num_symbols=int(counts.sum()),
        codes_in_use=in_use,
        dead_codes=counts.size - in_use,
        entropy_bits=float(entropy_bits(counts)),
        perplexity=float(perplexity(counts)),
    )
