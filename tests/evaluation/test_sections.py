"""What every page shows of codes, training and flags."""

from __future__ import annotations

import re

import numpy as np
import pytest

from vq_vae_tf.evaluation.report import Notes
from vq_vae_tf.evaluation.sections import (
    COLUMN,
    codebook_section,
    configuration_section,
    enlargement,
    sharp,
    training_sections,
)

TERMS = {"loss": 3.0, "reconstruction": 2.0, "quantization": 1.0}
TIMES = {"learning_rate": 1e-3, "seconds": 2.0, "steps_per_second": 4.0}


def _records(**terms):
    return [{"step": step, **terms, **TIMES} for step in (5, 10)]


def _html(section):
    notes = Notes()
    return "".join(item.html(notes) for item in section.items)


def test_only_the_terms_that_were_logged_are_drawn_and_explained():
    (section,) = training_sections({"VQ-VAE": _records(**TERMS), "prior": []})
    assert section.title == "Training: VQ-VAE"
    assert section.items[0].alt == "Curves of loss, reconstruction, quantization over the steps"
    assert "sum of the rest, in nats per dimension of x" in section.text
    assert "reconstruction is -log p(x | codes)" in section.text
    assert "quantization is the weighted squared distance" in section.text
    assert "conversion" not in section.text
    (section,) = training_sections({"VQ-VAE": _records(**TERMS, conversion=0.5)})
    assert "; conversion is what critics find" in section.text


def test_the_loss_of_a_prior_is_another():
    (section,) = training_sections({"prior": _records(loss=1.0, bits_per_code=1.44)})
    assert section.items[0].alt == "Curves of loss, bits per code over the steps"
    assert "The loss is the mean of -log p(code | codes before it) in nats; bits per code" in section.text
    assert "quantization" not in section.text


def test_curves_scroll_and_have_a_dark_side():
    (section,) = training_sections({"VQ-VAE": _records(**TERMS)})
    page = _html(section)
    assert page.startswith('<figure><div class="scroll plot"><picture><source media="(prefers-color-scheme: dark)"')


def test_the_codebook_in_numbers():
    section = codebook_section(np.array([3, 0, 3, 2]), "test")
    p = np.array([3, 3, 2]) / 8
    bits = -(p * np.log2(p)).sum()
    text = re.sub(r"<[^>]+>", " ", _html(section))
    for expected in (
        f"{2**bits:.1f}  of 4",
        f"{bits:.3f}  bits/code",
        r"codes in use  3",
        r"dead codes 3 1",
        "counted  8",
    ):
        assert re.sub(r"\s+", " ", expected) in re.sub(r"\s+", " ", text)
    assert 'class="scroll plot"' in _html(section)


def test_flags_are_folded_away_under_their_titles():
    section = configuration_section({"Data": {"strict": True}, "Audio": {"window": 5}})
    assert section.title == "Configuration"
    assert re.findall(r"<details[^>]*><summary>\w+", _html(section)) == [
        "<details><summary>Data",
        "<details><summary>Audio",
    ]


@pytest.mark.parametrize("width", [1, 134, 224, 225, 298, 299, 448, 449, 896, 897, 5000])
def test_pixels_stay_squares_of_whole_pixels_and_fill_the_column_if_they_can(width):
    picture = sharp(b"", width, "sheet")
    factor = picture.pixels // width
    assert picture.pixels == factor * width
    assert 1 <= factor <= 4
    assert factor == 1 or picture.pixels <= COLUMN
    assert factor == 4 or (factor + 1) * width > COLUMN
    assert picture.crisp
    assert picture.scrolls
    assert enlargement(width) == (factor if width <= COLUMN else 0)
