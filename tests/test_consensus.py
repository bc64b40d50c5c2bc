"""What draws have in common: the nearest to their mean of what each place was drawn as, and as sharp as is wanted."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from keras import ops

from vq_vae_tf.consensus import TRUST, consensus
from vq_vae_tf.ops.contrast import gradient_energies

SIDE = 4


def decoder(squares):
    """Places of codes as squares of pixels, `[codes, SIDE, SIDE]`, each by itself."""

    def decode(codes):
        made = ops.take(ops.convert_to_tensor(squares.astype(np.float32)), codes, axis=0)  # [batch, h, w, SIDE, SIDE]
        batch, height, width = codes.shape
        rows = ops.reshape(ops.transpose(made, (0, 1, 3, 2, 4)), (batch, height * SIDE, width * SIDE, 1))
        return ops.repeat(rows, 3, axis=-1)

    return decode


def found(codings, squares, wanted=0.0, **settings):
    wanted = np.broadcast_to(np.float32(wanted), codings.shape[1:2])
    return np.asarray(
        consensus(ops.convert_to_tensor(codings), decoder(squares), ops.convert_to_tensor(wanted), **settings)
    )


@pytest.mark.parametrize("candidates", [3, 5])
def test_without_sharpening_each_place_is_the_nearest_to_the_mean_of_what_was_drawn_there(candidates):
    rng = np.random.default_rng(0)
    squares = np.full((12, SIDE, SIDE), rng.permutation(12)[:, None, None] * 20.0)
    codings = rng.integers(0, 12, (5, 3, 6, 7)).astype(np.int32)
    grey = squares[:, 0, 0][codings]
    nearest = np.abs(grey - grey.mean(0)).argmin(0)
    expected = np.take_along_axis(grey, nearest[None], 0)[0]
    made = squares[:, 0, 0][found(codings, squares, sharpening=0.0, candidates=candidates)]
    np.testing.assert_allclose(np.abs(made - grey.mean(0)), np.abs(expected - grey.mean(0)), atol=1e-4)


def lights(rng, shape):
    """Squares of one grey level each, draws of them, and a guess at the picture."""
    squares = np.full((12, SIDE, SIDE), rng.permutation(12)[:, None, None] * 20.0)
    codings = rng.integers(0, 12, shape).astype(np.int32)
    guess = rng.uniform(0, 220, shape[1:]).astype(np.float32)
    return squares, codings, guess.repeat(SIDE, 1).repeat(SIDE, 2)[..., None].repeat(3, -1)


def sharpened(pictures):
    """In NumPy: twice the mean of the three by three pixels around that there are; the mask is twice what it is not."""
    around = pictures
    for _ in range(2):
        total, count = np.zeros_like(around), np.zeros_like(around)
        height, width = around.shape[1:3]
        for i, j in itertools.product((-1, 0, 1), repeat=2):
            to, of = (
                np.s_[:, max(i, 0) : height + i, max(j, 0) : width + j],
                np.s_[:, max(-i, 0) : height - i, max(-j, 0) : width - j],
            )
            total[to] += around[of]
            count[to] += 1
        around = total / count
    return np.clip(pictures + 2.0 * (pictures - around), 0, 255)


def test_an_expected_picture_moves_what_is_aimed_at_and_is_sharpened():
    squares, codings, pictures = lights(np.random.default_rng(0), (5, 3, 6, 7))
    grey = squares[:, 0, 0][codings]
    drawn = grey.mean(0).repeat(SIDE, 1).repeat(SIDE, 2)[..., None].repeat(3, -1)
    aim = sharpened((1 - TRUST) * drawn + TRUST * pictures)[..., 0].reshape(3, 6, SIDE, 7, SIDE)
    error = np.square(grey[:, :, :, None, :, None] - aim).mean((3, 5))
    made = found(codings, squares, sharpening=0.0, expected=ops.convert_to_tensor(pictures))
    of_made = np.square(squares[:, 0, 0][made][:, :, None, :, None] - aim).mean((2, 4))
    np.testing.assert_allclose(of_made, error.min(0), rtol=1e-4, atol=1e-2)
    plain = found(codings, squares, sharpening=0.0)
    assert np.mean(plain != made) > 0.2


def test_codes_nearby_are_tried_besides_and_kept_where_they_fit_better():
    rng = np.random.default_rng(1)
    squares, codings, pictures = lights(rng, (5, 3, 6, 7))
    near, told = rng.integers(0, 12, (2, 3, 6, 7)).astype(np.int32), []

    def nearby(target):
        told.append(np.asarray(target))
        return ops.convert_to_tensor(near)

    settings = {"sharpening": 0.0, "expected": ops.convert_to_tensor(pictures), "candidates": 5}
    made = found(codings, squares, nearby=nearby, **settings)
    grey = squares[:, 0, 0][codings]
    drawn = grey.mean(0).repeat(SIDE, 1).repeat(SIDE, 2)[..., None].repeat(3, -1)
    target = sharpened((1 - TRUST) * drawn + TRUST * pictures)
    np.testing.assert_allclose(told[0], target, atol=1e-2)
    aim = target[..., 0].reshape(3, 6, SIDE, 7, SIDE)
    offered = squares[:, 0, 0][np.concatenate([near, codings])]
    error = np.square(offered[:, :, :, None, :, None] - aim).mean((3, 5))
    of_made = np.square(squares[:, 0, 0][made][:, :, None, :, None] - aim).mean((2, 4))
    np.testing.assert_allclose(of_made, error.min(0), rtol=1e-4, atol=1e-2)
    assert np.mean(made != found(codings, squares, **settings)) > 0.1


def flat_and_striped():
    """Code 0 is grey, 1 and 2 are stripes that cancel in the mean, 3 and 4 such stripes of four times the energy."""
    stripes = np.tile([1.0, 1.0, -1.0, -1.0], (SIDE, 1))
    return np.stack([128 + amplitude * stripes for amplitude in (0, 20, -20, 40, -40)])


def drawn(seed=0):
    rng = np.random.default_rng(seed)
    each = np.arange(5, dtype=np.int32)[:, None, None, None] * np.ones((1, 4, 6, 6), np.int32)
    return rng.permuted(each, axis=0)


def test_sharpening_takes_what_is_sharp_up_to_what_is_wanted():
    squares, codings = flat_and_striped(), drawn()
    pictures = [np.asarray(gradient_energies(decoder(squares)(ops.convert_to_tensor(each)))) for each in codings]
    usual = np.mean(pictures)
    assert (found(codings, squares, usual, sharpening=0.0) == 0).all()
    assert (found(codings, squares, 0.0, sharpening=5.0) == 0).all()  # nothing is gained by what is not wanted
    energies = []
    for wanted in (0.3 * usual, usual, 2 * usual):
        made = found(codings, squares, wanted, sharpening=5.0)
        energies.append(np.mean(gradient_energies(decoder(squares)(ops.convert_to_tensor(made)))))
        assert energies[-1] > 0.8 * wanted
    assert energies[0] < 0.7 * energies[1] < 0.7 * energies[2]


def test_what_is_tried_at_a_place_is_ranked_by_sharpness_too():
    squares, codings = flat_and_striped(), drawn()
    nearest, sharper = (found(codings, squares, 1.0, sharpening=s, candidates=1) for s in (0.0, 5.0))
    assert (nearest == 0).all()  # grey was drawn everywhere, and is near to the mean
    assert np.mean(sharper != 0) > 0.5


def test_a_consensus_has_only_codes_that_were_drawn_at_their_place_and_of_one_it_is_that_one():
    squares, codings = flat_and_striped(), drawn(1)[:2]
    made = found(codings, squares, 0.01)
    assert ((made == codings[0]) | (made == codings[1])).all()
    np.testing.assert_array_equal(found(codings[:1], squares, 0.01), codings[0])


def test_each_picture_is_composed_by_itself():
    squares, codings = flat_and_striped(), drawn(2)
    whole = found(codings, squares, 0.02)
    for number in range(codings.shape[1]):
        np.testing.assert_array_equal(found(codings[:, number : number + 1], squares, 0.02)[0], whole[number])
