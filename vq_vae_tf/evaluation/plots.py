"""Pictures of a run as PNG bytes: curves and the use of codes.

Everything is drawn on figures of its own (no `pyplot`, no global state), with a transparent background and the ink of
a `Theme`, so that the same picture can be had for light and for dark pages.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap, to_rgba
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, MaxNLocator

THIN_SPACE = "\u2009"
DPI = 160
WIDTH = 9.0
"""Inches; at 160 dots an inch the curves stay sharp on a screen of double density."""


@dataclass(frozen=True)
class Theme:
    """Colours of ink on a page."""

    ink: str
    muted: str
    rule: str
    series: tuple[str, ...]


LIGHT = Theme("#1f2328", "#667079", "#dfe3e6", ("#1f6f8b", "#c2703d", "#5b7f3a", "#7d5ba6", "#a8475f"))
DARK = Theme("#e4e6e8", "#98a1a9", "#353b41", ("#6fb7d1", "#e0a27a", "#a3c585", "#b9a0da", "#dd8ca0"))


def training_curves(
    records: Sequence[Mapping[str, Any]],
    panels: Mapping[str, Sequence[str]],
    theme: Theme = LIGHT,
) -> bytes:
    """One panel a title, side by side, each with the curves of its keys over the step; raw faint, smoothed strong.

    Args:
        records: the lines of a `metrics.jsonl`, in order of "step"; a record need not have every key.
        panels: title -> keys drawn in it; keys that no record has are left out, and so is an empty panel.
        theme: colours.
    """
    found = {title: [key for key in keys if len(_series(records, key)[0])] for title, keys in panels.items()}
    found = {title: keys for title, keys in found.items() if keys}
    columns = 2 if len(found) == 4 else min(3, max(1, len(found)))
    rows = max(1, math.ceil(len(found) / columns))
    figure = _figure(WIDTH, 2.6 * rows)
    for index, (title, keys) in enumerate(found.items()):
        axes = figure.add_subplot(rows, columns, index + 1)
        _style(axes, theme, title)
        for key, colour in zip(keys, _cycle(theme, len(keys)), strict=True):
            steps, values = _series(records, key)
            axes.plot(steps, values, color=colour, alpha=0.3, linewidth=0.8)
            axes.plot(steps, _smooth(values), color=colour, linewidth=1.5, label=key.replace("_", " "))
        axes.margins(x=0.02, y=0.08)
        if len(keys) > 1:
            axes.legend(frameon=False, fontsize=8, labelcolor=theme.muted, handlelength=1.2)
    return _png(figure)


def code_usage(counts: Any, theme: Theme = LIGHT) -> bytes:
    """Share of each code in percent, most used first, beside the even share.

    `counts` is `[num_codes]` or `[num_codebooks, num_codes]` (one line a codebook).
    """
    counts = np.atleast_2d(np.asarray(counts, np.float64))
    share = 100.0 * np.sort(counts, axis=1)[:, ::-1] / np.maximum(counts.sum(axis=1, keepdims=True), 1.0)
    figure = _figure(WIDTH, 2.7)
    axes = figure.add_subplot(1, 1, 1)
    _style(axes, theme, "", "codes, most used first", "share of all codes, %")
    edges = np.arange(share.shape[1] + 1)
    for row, colour in zip(share, _cycle(theme, len(share)), strict=True):
        axes.stairs(row, edges, color=colour, fill=len(share) == 1, alpha=0.85, linewidth=1.2)
    even = 100.0 / share.shape[1]
    axes.axhline(even, color=theme.ink, linewidth=0.9, linestyle=(0, (4, 3)))
    axes.annotate(
        "all codes alike", (share.shape[1], even), (0, 4), textcoords="offset points", color=theme.muted, fontsize=8,
        ha="right", va="bottom",
    )  # fmt: skip
    axes.set_xlim(0, share.shape[1])
    axes.set_ylim(0, None)
    return _png(figure)


def confusion(counts: Any, names: Sequence[str], theme: Theme = LIGHT) -> bytes:
    """Rows of `counts` `[classes, classes]` as shares, dark for many: what is true downwards, what was told across."""
    counts = np.asarray(counts, np.float64)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1.0)
    figure = _figure(0.75 * WIDTH, 0.7 * WIDTH)
    axes = figure.add_subplot(1, 1, 1)
    _style(axes, theme, "", "told by the code", "true")
    axes.grid(visible=False)
    colours = LinearSegmentedColormap.from_list("share", [to_rgba(theme.series[0], alpha) for alpha in (0.0, 1.0)])
    axes.imshow(share, cmap=colours, vmin=0.0, vmax=1.0, aspect="equal", interpolation="nearest")
    axes.set_xticks(range(len(names)), names, rotation=90)
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(labelsize=6)
    return _png(figure)


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), dpi=DPI, layout=ConstrainedLayoutEngine(h_pad=0.1, w_pad=0.12))
    FigureCanvasAgg(figure)
    figure.patch.set_alpha(0.0)
    return figure


def _style(axes: Axes, theme: Theme, title: str, xlabel: str = "", ylabel: str = "") -> None:
    """Left and lower rule only, faint horizontal lines, small type."""
    axes.set_title(title, loc="left", fontsize=9.5, color=theme.ink)
    axes.set_xlabel(xlabel, fontsize=8.5, color=theme.muted)
    axes.set_ylabel(ylabel, fontsize=8.5, color=theme.muted)
    axes.patch.set_alpha(0.0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(theme.rule)
    axes.grid(axis="y", color=theme.rule, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, labelsize=8, labelcolor=theme.muted)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}".replace(",", THIN_SPACE)))
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))


def _series(records: Sequence[Mapping[str, Any]], key: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps and finite values of one key."""
    pairs = [(r["step"], float(r[key])) for r in records if isinstance(r.get(key), int | float)]
    points = np.array([pair for pair in pairs if math.isfinite(pair[1])], np.float64).reshape(-1, 2)
    return points[:, 0], points[:, 1]


def _smooth(values: np.ndarray) -> np.ndarray:
    """Mean over a centred window of a twentieth of the curve, shorter at its ends."""
    half = len(values) // 40
    sums = np.concatenate([[0.0], np.cumsum(values)])
    centre = np.arange(len(values))
    low, high = np.maximum(centre - half, 0), np.minimum(centre + half + 1, len(values))
    return (sums[high] - sums[low]) / (high - low)


def _cycle(theme: Theme, count: int) -> list[str]:
    return [theme.series[i % len(theme.series)] for i in range(count)]


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", bbox_inches="tight", pad_inches=0.04, transparent=True)
    return buffer.getvalue()
