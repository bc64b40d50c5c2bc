"""How far apart sounds are, against a Fourier transform written out."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from PIL import Image

from vq_vae_tf.evaluation.report import Notes
from vq_vae_tf.evaluation.report_style import STYLE
from vq_vae_tf.evaluation.sounds import (
    COLUMN,
    Sound,
    Sounds,
    log_spectral_distance,
    spectrogram_figure,
    spectrogram_picture,
)

SIZE = 256


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, shape).astype(np.float32)


def _decibels(sound):
    """`[frames, frequencies]` of one sound: a Hann frame of 256 samples about every 64th one; silence around."""
    padded = np.concatenate([np.zeros(SIZE // 2), sound.astype(np.float64), np.zeros(SIZE // 2)])
    n = np.arange(SIZE)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * n / (SIZE - 1))
    waves = np.exp(-2j * np.pi * np.outer(np.arange(SIZE // 2 + 1), n) / SIZE)
    frames = [padded[begin : begin + SIZE] * window for begin in range(0, len(sound) + 1, 64)]
    return np.stack([20 * np.log10(np.abs(waves @ frame) + 1e-3) for frame in frames])


def test_the_distance_is_the_mean_over_frames_of_the_root_of_the_mean_square():
    x, y = noise(3, 640), noise(3, 640, seed=1)
    x[2, 300:] = 0.0  # silence, whose decibels are those of the floor
    expected = [np.sqrt(np.square(_decibels(a) - _decibels(b)).mean(1)).mean() for a, b in zip(x, y, strict=True)]
    found = log_spectral_distance(x, y)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_allclose(log_spectral_distance(y, x), found, rtol=1e-12)


def test_equal_sounds_have_no_distance_and_a_gain_of_two_has_six_decibels():
    x = 1e4 * noise(2, 1024)  # so loud that the floor is nothing beside it
    np.testing.assert_array_equal(log_spectral_distance(x, x), [0, 0])
    np.testing.assert_allclose(log_spectral_distance(x, np.array([[1.0], [2.0]]) * x), [0, 20 * np.log10(2)], atol=1e-3)


@pytest.mark.parametrize(("frames", "wide"), [(81, 4 * 81), (200, 2 * 200), (432, 432), (433, 217), (2501, 417)])
def test_spectrograms_are_low_and_fit_in_their_column_at_any_length(frames, wide):
    x = noise(64 * (frames - 1))
    picture = spectrogram_picture(x).astype(np.float64)
    assert picture.shape == (SIZE // 2 + 1, frames, 3)
    figure = spectrogram_figure(x, "sound")
    shown = np.asarray(Image.open(io.BytesIO(figure.png)))
    assert shown.shape == (SIZE // 2 + 1, wide, 3)
    assert (figure.pixels, figure.crisp, figure.scrolls) == (wide, True, True)  # a pixel of the file is one of the page
    assert wide <= COLUMN
    step, repeats = -(-frames // COLUMN), max(1, wide // frames)
    means = [picture[:, begin : begin + step].mean(axis=1) for begin in range(0, frames, step)]
    np.testing.assert_allclose(shown, np.repeat(np.stack(means, axis=1), repeats, axis=1), atol=0.5 + 1e-9)


def test_a_sound_has_its_name_its_spectrogram_and_a_player_that_knows_its_length():
    rows = [Sound(f"<{kind}>", kind.encode(), spectrogram_figure(noise(640), kind)) for kind in ("said", "made")]
    page = Sounds(rows).html(Notes())
    assert page.startswith('<div class="sounds"><figure><figcaption>&lt;said&gt;</figcaption><figure>')
    places = [page.index(part) for part in ("&lt;said", 'alt="said"', "c2FpZA==", "&lt;made", 'alt="made"', "bWFkZQ==")]
    assert places == sorted(places)  # the bytes of the players are "said" and "made"
    assert page.count('<audio controls preload="metadata" src="data:audio/wav;base64,') == 2
    assert page.count("<figure>") == page.count("</figure>") == 4


def test_two_sounds_stand_side_by_side_and_on_a_phone_one_below_the_other():
    wide, _, narrow = STYLE.partition("@media (max-width:40rem)")
    assert ".sounds{display:grid;grid-template-columns:repeat(2,minmax(0,1fr))" in wide
    assert re.search(r"[,}]\.sounds\{grid-template-columns:minmax\(0,1fr\)\}", narrow)
