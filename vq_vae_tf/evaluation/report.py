"""One self-contained HTML page about a run: no script, no network, light and dark.

A page is a list of sections, a section a list of items, and an item anything with `html(notes)`: a new modality adds
its own kinds (a player, a film) beside the ones below.
"""

from __future__ import annotations

import base64
import html
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from vq_vae_tf.evaluation.report_style import STYLE
from vq_vae_tf.files import write_text


class Notes:
    """Footnotes in order of first use; the same text keeps its number."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def mark(self, text: str) -> str:
        """The superscript that refers to `text`, or nothing if there is none."""
        if not text:
            return ""
        if text not in self.texts:
            self.texts.append(text)
        number = self.texts.index(text) + 1
        return f'<sup><a href="#note-{number}">{number}</a></sup>'

    def html(self) -> str:
        """The list of footnotes."""
        items = "".join(f'<li id="note-{i}">{_text(text)}</li>' for i, text in enumerate(self.texts, 1))
        return f'<section id="notes"><h2>What the numbers mean</h2><ol class="notes">{items}</ol></section>'


class Item(Protocol):
    """Something that stands in a section."""

    def html(self, notes: Notes) -> str:
        """Its markup; footnotes go to `notes`."""


@dataclass(frozen=True)
class Number:
    """A figure with its unit; `meaning` becomes a footnote, `digits` are decimals of a float."""

    name: str
    value: float | int | str | None
    unit: str = ""
    meaning: str = ""
    digits: int = 3


@dataclass(frozen=True)
class Row:
    """One line of a `Table`: a figure in every column."""

    name: str
    values: Sequence[float | int | str | None]
    unit: str = ""
    meaning: str = ""
    digits: int = 3


@dataclass(frozen=True)
class Table:
    """Figures in columns, such as splits or models."""

    columns: Sequence[str]
    rows: Sequence[Row]
    caption: str = ""

    def html(self, notes: Notes) -> str:
        """Names at the left, figures at the right on their decimal places, units in a column of their own."""
        head = "".join(f"<th>{_text(column)}</th>" for column in self.columns)
        body = []
        for row in self.rows:
            cells = "".join(f"<td>{format_number(value, row.digits)}</td>" for value in row.values)
            name = _text(row.name) + notes.mark(row.meaning)
            body.append(f'<tr><th scope="row">{name}</th>{cells}<td class="unit">{_text(row.unit)}</td></tr>')
        caption = f"<caption>{_text(self.caption)}</caption>" if self.caption else ""
        return (
            f'<div class="scroll"><table>{caption}<thead><tr><th></th>{head}<th></th></tr></thead>'
            f"<tbody>{''.join(body)}</tbody></table></div>"
        )


@dataclass(frozen=True)
class Picture:
    """A PNG with its caption.

    Args:
        png: the file's bytes.
        alt: what is to be seen, for those who do not see it.
        caption: text below.
        dark: the same for dark pages; None if one picture serves both.
        pixels: width on the page in CSS pixels; 0 as wide as the column. Enlarged pixels stay squares if `crisp`.
        crisp: True for pictures made of few pixels.
        scrolls: True for pictures that keep their size, or that of legible type, in a box that scrolls on small pages.
    """

    png: bytes
    alt: str
    caption: str = ""
    dark: bytes | None = None
    pixels: int = 0
    crisp: bool = False
    scrolls: bool = False

    def html(self, notes: Notes) -> str:
        """A figure element."""
        del notes
        caption = f"<figcaption>{_text(self.caption)}</figcaption>" if self.caption else ""
        image = _image(self)
        if self.scrolls:
            image = f'<div class="scroll{"" if self.pixels else " plot"}">{image}</div>'
        return f"<figure>{image}{caption}</figure>"


@dataclass(frozen=True)
class Gallery:
    """Pictures in rows, each with its name at the left."""

    rows: Sequence[tuple[str, Picture]]
    caption: str = ""

    def html(self, notes: Notes) -> str:
        """A grid of names and pictures."""
        del notes
        cells = "".join(
            f'<span class="name">{_text(name)}</span><span>{_image(picture)}</span>' for name, picture in self.rows
        )
        caption = f"<figcaption>{_text(self.caption)}</figcaption>" if self.caption else ""
        return f'<figure><div class="gallery">{cells}</div>{caption}</figure>'


@dataclass(frozen=True)
class Settings:
    """Names and values such as the resolved configuration, folded away if `folded`."""

    title: str
    values: Mapping[str, Any]
    folded: bool = False

    def html(self, notes: Notes) -> str:
        """A list in columns of fixed-width type."""
        del notes
        pairs = "".join(
            f"<div><dt>{_text(key)}</dt><dd>{_text(_plain(value))}</dd></div>" for key, value in self.values.items()
        )
        state = "" if self.folded else " open"
        return f'<details{state}><summary>{_text(self.title)}</summary><dl class="settings">{pairs}</dl></details>'


@dataclass(frozen=True)
class Section:
    """A heading, a sentence and items."""

    title: str
    items: Sequence[Item]
    text: str = ""


@dataclass(frozen=True)
class Report:
    """The page: `headline` figures stand above the sections."""

    title: str
    subtitle: str
    headline: Sequence[Number]
    sections: Sequence[Section]
    kicker: str = "VQ-VAE"
    colophon: Sequence[str] = field(default_factory=tuple)


def write_report(path: str | os.PathLike[str], report: Report) -> None:
    """Writes `report` as one HTML file, whole or not at all."""
    write_text(path, render(report))


def render(report: Report) -> str:
    """The page's HTML."""
    notes = Notes()
    headline = "".join(_tile(number, notes) for number in report.headline)
    sections = "".join(_section(i, section, notes) for i, section in enumerate(report.sections, 1))
    links = "".join(f'<a href="#s{i}">{_text(s.title)}</a>' for i, s in enumerate(report.sections, 1))
    colophon = "".join(f"<span>{_text(line)}</span>" for line in report.colophon)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        # The browser itself now refuses whatever is not in this file.
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; media-src data:; '
        "style-src 'unsafe-inline'\">"
        f"<title>{_text(report.title)}</title><style>{STYLE}</style></head><body><main>"
        f'<header><p class="kicker">{_text(report.kicker)}</p><h1>{_text(report.title)}</h1>'
        f'<p class="subtitle">{_text(report.subtitle)}</p></header>'
        f'<nav>{links}<a href="#notes">Notes</a></nav>'
        f'<div class="tiles">{headline}</div>{sections}{notes.html()}<footer>{colophon}</footer></main></body></html>\n'
    )


def format_number(value: float | int | str | None, digits: int = 3) -> str:
    """A figure as text: thin spaces between thousands, a true minus, none before zero, a dash where there is none."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, float) and math.isinf(value):
        return "∞" if value > 0 else "−∞"
    text = f"{value:,}" if isinstance(value, int) else f"{value:z,.{digits}f}"
    return text.replace(",", "\u2009").replace("-", "−")


def counted(count: int, noun: str) -> str:
    """`1 picture`, `2 pictures`; for nouns whose plural is made by an s."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _section(number: int, section: Section, notes: Notes) -> str:
    text = f"<p>{_text(section.text)}</p>" if section.text else ""
    items = "".join(item.html(notes) for item in section.items)
    return f'<section id="s{number}"><h2>{_text(section.title)}</h2>{text}{items}</section>'


def _tile(number: Number, notes: Notes) -> str:
    unit = f' <span class="unit">{_text(number.unit)}</span>' if number.unit else ""
    return (
        f'<div class="tile"><div class="value">{format_number(number.value, number.digits)}{unit}</div>'
        f'<div class="label">{_text(number.name)}{notes.mark(number.meaning)}</div></div>'
    )


def _image(picture: Picture) -> str:
    crisp = ' class="crisp"' if picture.crisp else ""
    width = f' style="width:{picture.pixels}px"' if picture.pixels else ""
    image = f'<img{crisp}{width} alt="{html.escape(picture.alt)}" src="{_data(picture.png)}">'
    if picture.dark is None:
        return image
    dark = f'<source media="(prefers-color-scheme: dark)" srcset="{_data(picture.dark)}">'
    return f"<picture>{dark}{image}</picture>"


def _data(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) or "–"


def _text(text: str) -> str:
    return html.escape(text)
