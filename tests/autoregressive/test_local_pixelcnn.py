"""A PixelCNN that sees differences: its guess, its mixture and its map against NumPy."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from vq_vae_tf.autoregressive import LocalPixelCNN
from vq_vae_tf.autoregressive.local_pixelcnn import PixelBlock
from vq_vae_tf.ops.neighbours import around, bounded, guessed_before, is_inside, offsets_before, plane_weights


def _network(shape=(5, 6, 3), **changes):
    keras.utils.set_random_seed(0)
    sizes = {"num_channels": shape[-1], "features": 12, "num_layers": 2, "logistics": 3, "reach": 2, **changes}
    network = LocalPixelCNN(256, shape, **sizes)
    network.build()
    return network


def _smooth(batch, shape=(5, 6, 3), seed=0):
    """Pictures like real ones: planes with a little noise, colours alike."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]][:, None, :, :, None]
    slopes = rng.normal(0, 6, (2, batch, 1, 1, 1))
    plane = 200 + slopes[0] * y + slopes[1] * x + rng.normal(0, 2, (batch, *shape[:2], 1))
    return np.clip(np.round(plane + rng.normal(0, 1, (batch, *shape))), 0, 255).astype(np.int32)


def _guess(values):
    """By loops: `[height, width, channels]` on the scale -1..1."""
    height, width, _ = values.shape
    guess = np.zeros_like(values)
    for i in range(height):
        for j in range(width):
            if i and j:
                guess[i, j] = 0.75 * values[i, j - 1] + 0.75 * values[i - 1, j] - 0.5 * values[i - 1, j - 1]
            elif i or j:
                guess[i, j] = values[i - 1, j] if i else values[i, j - 1]
    return guess


def _typical(values, reach):
    """By loops: `[height, width, 1]`, what neighbours in the picture differed from guesses of theirs."""
    height, width, _ = values.shape
    errors, found = np.abs(values - _guess(values)).mean(-1), np.zeros((height, width, 1))
    steps = [(-1, -1), (-1, 0), (-1, 1), (0, -1)] + ([(-2, 0), (0, -2)] if reach == 3 else [])
    for i in range(height):
        for j in range(width):
            near = [errors[i + dy, j + dx] for dy, dx in steps if i + dy >= 0 and 0 <= j + dx < width]
            found[i, j] = np.mean(near) + 1 / 127.5 if near else 1.0
    return found


@pytest.mark.parametrize("reach", [2, 3])
def test_the_guess_is_of_three_neighbours_or_the_one_at_an_edge_and_measured_by_errors_around(reach):
    network, x = _network(reach=reach), _smooth(1)
    values = x / 127.5 - 1.0
    sites = ops.sum(network.embed(x), axis=-2)
    np.testing.assert_allclose(ops.convert_to_numpy(sites), values, atol=1e-6)
    _, guess, scale = (ops.convert_to_numpy(part)[0] for part in network.contexts(sites, {}, training=False))
    np.testing.assert_allclose(guess, _guess(values[0]), atol=1e-5)
    np.testing.assert_allclose(scale, _typical(values[0], reach), atol=1e-5)


def test_neighbours_come_in_raster_order_with_zeros_outside():
    offsets = offsets_before(1)
    assert offsets == [(-1, -1), (-1, 0), (-1, 1), (0, -1)]
    x = np.arange(1.0, 7.0, dtype=np.float32).reshape(1, 2, 3, 1)
    found = ops.convert_to_numpy(around(x, offsets))[0, ..., 0]
    np.testing.assert_array_equal(found[1, 1], [1, 2, 3, 4])
    np.testing.assert_array_equal(found[1, 2], [2, 3, 0, 5])
    np.testing.assert_array_equal(found > 0, is_inside((2, 3), offsets) > 0)
    every = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
    np.testing.assert_array_equal(ops.convert_to_numpy(around(x, every))[0, 0, 1, :, 0], [0, 0, 0, 1, 2, 3, 4, 5, 6])


def test_weights_of_the_guess_sum_to_one_but_for_the_first_pixel():
    sums = plane_weights((4, 5)).sum(-1)
    assert sums[0, 0] == 0.0
    assert (sums.ravel()[1:] == 1.0).all()


def test_distances_are_bounded():
    u = np.array([-50.0, -1.0, 0.0, 0.01, 3.0])
    found = ops.convert_to_numpy(bounded(ops.convert_to_tensor(u, dtype="float32")))
    np.testing.assert_allclose(found, u / np.sqrt(1 + (u / 6) ** 2), rtol=1e-6)


def test_neighbours_whose_own_three_are_in_the_window_have_errors():
    offsets = offsets_before(2)
    found = [[offsets[i] for i in four] for four in guessed_before(offsets, 2)]
    assert [four[0] for four in found] == [(-1, -1), (-1, 0), (-1, 1), (0, -1)]
    assert found[-1] == [(0, -1), (0, -2), (-1, -1), (-1, -2)]
    assert not guessed_before(offsets_before(1), 2).size


@pytest.mark.parametrize("told", [False, True])
def test_what_is_said_of_a_picture_is_said_of_one_with_half_the_contrast_in_half_the_size(told):
    """But for the measures themselves, which are seen too, and the guess: here neither is looked at."""
    network, shape = _network(condition_features=3 * told), (5, 6, 3)
    first = ops.convert_to_numpy(network.first.kernel).copy()
    first[-5 if told else -4 :] = 0.0
    network.first.kernel.assign(first)
    values, picture = np.random.default_rng(0).normal(0, 300.0, (2, 2, *shape)).astype(np.float32)
    said = [_mixtures(network, values * c, {"map": picture * c} if told else {}) for c in (1.0, 0.5)]
    (weights, means, widths), (same, halves, narrow) = said
    start = 1 if told else 0  # where nothing is known of how good the picture is, its own scale is
    np.testing.assert_allclose(same[:, start:], weights[:, start:], atol=2e-3)
    np.testing.assert_allclose(halves[:, 1:], 0.5 * means[:, 1:], rtol=2e-3, atol=2e-2)
    np.testing.assert_allclose(narrow[:, 1:], widths[:, 1:] + np.log(0.5), atol=2e-3)


def _mixtures(network, values, condition):
    context = network.contexts(ops.convert_to_tensor(values), condition, training=False)
    nothing = ops.zeros((*values.shape[:-1], 3))
    weights = network.head.weights_of(0)
    return np.split(ops.convert_to_numpy(network.head.mixture(weights, context, nothing)), 3, axis=-1)


def test_the_mixture_lies_about_the_guess_and_what_the_channels_before_missed():
    """With a head that says nothing, p(k) is the mixture of logistics of its bias, moved; in float64 NumPy."""
    network, x = _network(), _smooth(2)
    network.head.to_logits.assign(0.0 * network.head.to_logits)
    slopes = np.array([[9.0, 9.0, 9.0], [0.7, 9.0, 9.0], [-0.2, 0.5, 9.0]], np.float32)  # only below the diagonal
    network.head.slopes.assign(slopes)
    values = x / 127.5 - 1.0
    guess = np.stack([_guess(picture) for picture in values])
    missed = values - guess
    center = guess + missed @ np.tril(slopes, -1).T.astype(np.float64)
    bias = np.asarray(ops.convert_to_numpy(network.head.logits_bias), np.float64)[0]
    scale = np.stack([_typical(picture, 2) for picture in values])[..., None]
    weight, mean, log_scale = np.split(bias, 3)
    edges = (np.arange(1, 256) - 0.5) / 127.5 - 1.0
    mean, width = (scale * mean)[..., None, :], (scale * np.exp(log_scale))[..., None, :]
    z = (edges[:, None] - center[..., None, None] - mean) / width
    below = (np.exp(weight) / np.exp(weight).sum() / (1.0 + np.exp(-np.maximum(z, -500.0)))).sum(-1)
    below = np.concatenate([np.zeros_like(below[..., :1]), below, np.ones_like(below[..., :1])], -1)
    chances = np.take_along_axis(np.diff(below), x[..., None], -1)[..., 0]
    nats = ops.convert_to_numpy(network.nats(x))
    np.testing.assert_allclose(nats, -np.log(chances + 1e-7) + np.log1p(256e-7), rtol=3e-4, atol=3e-4)


def test_nats_are_the_cross_entropy_of_the_logits():
    network, x = _network(), _smooth(3)
    logits = ops.convert_to_numpy(network(x)).astype(np.float64)
    logs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    nats = ops.convert_to_numpy(network.nats(x))
    np.testing.assert_allclose(nats, -np.take_along_axis(logs, x[..., None], -1)[..., 0], atol=2e-3)


def test_it_starts_as_a_good_linear_predictor():
    """A network of raw values starts at log2 256 = 8 bits, about; this one where neighbours are known to be alike."""
    bits = ops.convert_to_numpy(_network().nats(_smooth(50))).mean() / np.log(2)
    assert bits < 5.5


def test_the_maps_picture_is_seen_around_also_ahead_and_the_rest_in_place():
    network = _network(condition_features=5)
    x, rng = _smooth(1), np.random.default_rng(0)
    picture = rng.normal(0, 0.3, (1, 5, 6, 5)).astype(np.float32)
    known = ops.convert_to_numpy(network(x, {"map": picture}))

    def changed(feature):
        other = picture.copy()
        other[0, 2, 2, feature] += 0.5
        return np.abs(ops.convert_to_numpy(network(x, {"map": other})) - known).max((0, 3, 4)) > 1e-6

    expected = np.zeros((5, 6), bool)
    expected[:, :5] = True  # pixels before it look ahead at it, those after it know how far it was from it
    np.testing.assert_array_equal(changed(1), expected)
    assert changed(4).sum() == 1
    assert changed(4)[2, 2]


def test_the_maps_picture_is_measured_by_how_far_pixels_before_were_from_it():
    """The network is made to say that measure, and what it does of the pixel to the left and of the guess."""
    network, x = _network(condition_features=3), _smooth(1)
    picture = np.random.default_rng(0).normal(0.5, 0.1, (1, 5, 6, 3)).astype(np.float32)
    kernel = np.zeros(network.first.kernel.shape, np.float32)
    kernel[-1, 0] = -1.0  # -log of it, about 1 here
    ahead = 3 * (12 + 4 + 12)  # after the neighbours, their errors, and the picture's at all before it in the square
    kernel[ahead - 3, 1], kernel[ahead, 2] = -1.0, 1.0
    network.first.kernel.assign(kernel)
    network.positions.assign(0.0 * network.positions)
    for block in network.blocks:
        block.out.kernel.assign(0.0 * block.out.kernel)
    values = (x / 127.5 - 1.0).astype(np.float32)
    said, *_ = network.contexts(ops.convert_to_tensor(values), {"map": picture}, training=False)
    errors = np.abs(values[0] - picture[0]).mean(-1)
    guess, found = _guess(values[0]), np.zeros((5, 6, 3))
    for i, j in np.ndindex(5, 6):
        square = [(i + dy, j + dx) for dy in range(-2, 1) for dx in range(-2, 3) if (dy, dx) < (0, 0)]
        near = [errors[y, x] for y, x in square if y >= 0 and 0 <= x < 6]
        off = np.mean(near) + 1 / 127.5 if near else 1.0
        left = picture[0, i, j - 1, 0] - values[0, i, j - 1, 0] if j else 0.0
        u = np.array([left, picture[0, i, j, 0] - guess[i, j, 0]]) / off
        found[i, j] = np.maximum([-np.log(off), *(u / np.sqrt(1 + (u / 6) ** 2))], 0.0)
    assert (found.max((0, 1)) > 0.5).all()
    np.testing.assert_allclose(ops.convert_to_numpy(said)[0, ..., :3], found, rtol=1e-4, atol=1e-5)


def test_a_block_adds_the_same_however_large_its_input():
    """Products of products would else run away: training at a rate of 4e-3 ended in numbers that were not finite."""
    block = PixelBlock(12, 0.0)
    block.build()
    h = np.random.default_rng(0).normal(0, 1, (5, 12)).astype(np.float32)
    added = [ops.convert_to_numpy(block(c * h)) - c * h for c in (1.0, 64.0)]
    assert np.abs(added[0]).max() > 0.05
    np.testing.assert_allclose(*added, atol=1e-4)


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 1)])
def test_one_channel_needs_no_order_of_channels(shape):
    keras.utils.set_random_seed(0)
    channels = 1 if len(shape) == 3 else None
    network = LocalPixelCNN(256, shape, num_channels=channels, features=8, num_layers=1, logistics=2)
    x = np.random.default_rng(0).integers(100, 150, (2, *shape)).astype(np.int32)
    full = ops.convert_to_numpy(network(x)).reshape(2, 20, 256)
    cache, previous = network.init_cache(2), np.zeros(2, np.int32)
    for position in range(20):
        logits, cache = network.step(previous, cache, ops.convert_to_tensor(position, dtype="int32"))
        np.testing.assert_allclose(ops.convert_to_numpy(ops.softmax(logits)), _softmax(full[:, position]), atol=1e-5)
        previous = x.reshape(2, -1)[:, position]


def _softmax(logits):
    chances = np.exp(logits - logits.max(-1, keepdims=True))
    return chances / chances.sum(-1, keepdims=True)
