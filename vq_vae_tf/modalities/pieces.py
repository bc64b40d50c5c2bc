"""What pieces of files are called."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def piece_names(files: Iterable[str], counts: Sequence[int]) -> tuple[str, ...]:
    """A name for each piece of each file, in order: that of the file, and "#0", "#1", ... where it has several."""
    return tuple(
        f"{name}#{piece}" if count > 1 else name
        for name, count in zip(files, counts, strict=True)
        for piece in range(count)
    )
