"""Scores of imagined frames on films whose scores are known; films as files."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from vq_vae_tf.errors import UserError
from vq_vae_tf.evaluation.films import check_film, contact_sheet, film, side_by_side
from vq_vae_tf.evaluation.rollouts import frame_scores, gradient_energy, phase_shift, sideways, spread


def pictures(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (*shape, 24, 32, 3)).astype(np.uint8)


def test_psnr_of_each_frame_is_of_the_mean_squared_error():
    truth = pictures(3, 2) // 2
    films = truth.copy()
    films[:, 0] += 10
    films[0, 1] += 30  # one of three films: the mean squared error is 300
    scores = frame_scores(truth, films, 0.05)
    np.testing.assert_allclose(scores["psnr"], 20 * np.log10(255 / np.array([10, 300**0.5])), rtol=1e-6)
    assert len(scores["ssim"]) == 2
    assert all(0 < value < 1 for value in scores["ssim"])


def test_phase_shift_finds_what_moved_and_where_to():
    wide = pictures(4, seed=1)
    for down, right in ((0, 5), (0, -7), (3, 2)):
        moved = np.roll(wide, (down, right), axis=(1, 2))
        np.testing.assert_array_equal(phase_shift(wide, moved), [[down, right]] * 4)
    films = np.stack([np.roll(wide, 3 * t, axis=2) for t in range(4)], axis=1)
    np.testing.assert_array_equal(sideways(films), [3.0] * 4)


@pytest.mark.parametrize(("down", "right"), [(0, 1), (2, 0), (3, 4)])
def test_the_gradient_energy_of_a_ramp_is_that_of_its_slopes(down, right):
    ramp = down * np.arange(24)[:, None, None] + right * np.arange(32)[:, None]
    films = np.broadcast_to(ramp.astype(np.uint8), (1, 2, 24, 32, 3))
    assert gradient_energy(films) == pytest.approx((down**2 + right**2) / 255.0**2, rel=1e-5)


def test_a_blur_has_less_gradient_energy():
    sharp = pictures(1, 1)
    blurred = (sharp.astype(int) + np.roll(sharp, 1, axis=3)) // 2
    assert gradient_energy(blurred) < 0.8 * gradient_energy(sharp)


def test_spread_is_the_deviation_over_seeds():
    films = np.zeros((2, 3, 2, 4, 4, 3))
    films[1, :, 1] = 8.0
    np.testing.assert_allclose(spread(films), [0.0, 8 / 2**0.5], rtol=1e-6)


@pytest.mark.parametrize("ending", [".gif", ".webp", ".png"])
def test_a_film_holds_every_frame_in_order(ending):
    frames = np.stack([np.full((6, 8, 3), value, np.uint8) for value in (0, 128, 255)])
    opened = Image.open(io.BytesIO(film(frames, ending, factor=2)))
    assert opened.size == (16, 12)
    assert opened.n_frames == 3
    for index, value in enumerate((0, 128, 255)):
        opened.seek(index)
        assert np.abs(np.asarray(opened.convert("RGB")).astype(int) - value).max() <= 2


@pytest.mark.parametrize(("ending", "most"), [(".webp", 16_383), (".gif", 65_535)])
def test_films_wider_than_their_format_are_refused(ending, most):
    check_film(ending, 1, most, 1)
    assert Image.open(io.BytesIO(film(np.zeros((1, 1, most, 3), np.uint8), ending))).size == (most, 1)
    with pytest.raises(UserError, match=rf"1 films of {most + 1} pixels side by side are {most + 1} wide"):
        check_film(ending, 1, most + 1, 1)
    with pytest.raises((ValueError, RuntimeError, OverflowError)):
        film(np.zeros((1, 1, most + 1, 3), np.uint8), ending)
    assert side_by_side([pictures(1)] * 3).shape[2] == 3 * (pictures(1).shape[2] + 4) - 4
    wide = (most // 2 + 4) // (32 + 4)
    check_film(ending, wide, 32, 2)
    with pytest.raises(UserError, match="give fewer --temperatures"):
        check_film(ending, wide + 1, 32, 2)


def test_sheets_and_films_side_by_side_keep_pixels_where_they_belong():
    films = pictures(2, 3)
    sheet = np.asarray(Image.open(io.BytesIO(contact_sheet(films))))
    assert sheet.shape == (2 * 24 + 2, 3 * 32 + 4, 4)
    np.testing.assert_array_equal(sheet[26:, 34:66, :3], films[1, 1])
    both = side_by_side(list(films))
    assert both.shape == (3, 24, 68, 3)
    np.testing.assert_array_equal(both[:, :, 36:], films[1])
    assert not both[:, :, 32:36].any()
