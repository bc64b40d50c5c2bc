"""Which symbols a small network of each kind sees: exactly those that its paper says."""

from __future__ import annotations

import numpy as np
import pytest
from keras import ops

from vq_vae_tf.autoregressive import GatedPixelCNN, LocalPixelCNN, Transformer, WaveNet, sample, sample_naive


def _seen(network, position, threshold=1e-7):
    """Boolean `[positions]`: changing the symbol there changes the logits at `position` by more than `threshold`."""
    count = network.num_positions
    symbols = np.zeros((count + 1, count), np.int32)
    symbols[np.arange(count), np.arange(count)] = 1
    logits = ops.convert_to_numpy(network(symbols.reshape(count + 1, *network.symbol_shape)))
    logits = logits.reshape(count + 1, count, -1)[:, position]
    return np.abs(logits[:count] - logits[count]).max(-1) > threshold


@pytest.mark.parametrize("kernel_size", [3, 5])
def test_one_block_of_the_pixelcnn_sees_rows_above_and_columns_to_the_left(kernel_size):
    network = GatedPixelCNN(2, (5, 7), features=8, num_layers=1, kernel_size=kernel_size)
    reach = kernel_size // 2  # and one more by the shift of the input
    expected = np.zeros((5, 7), bool)
    expected[4 - 1 - reach : 4, 3 - reach : 3 + reach + 1] = True
    expected[4, 3 - 1 - reach : 3] = True
    np.testing.assert_array_equal(_seen(network, 4 * 7 + 3).reshape(5, 7), expected)


def test_the_pixelcnn_has_no_blind_spot():
    """A stack of masked 3 x 3 convolutions never sees the right-hand triangle above; both stacks together do."""
    network = GatedPixelCNN(2, (4, 9), features=8, num_layers=5)
    seen = _seen(network, 3 * 9 + 3).reshape(4, 9)
    assert seen[:3].all()
    assert seen[3, :3].all()
    assert not seen[3, 3:].any()


def test_the_local_pixelcnn_sees_its_window_however_many_layers_there_are():
    network = LocalPixelCNN(256, (6, 9), features=16, num_layers=3, logistics=2, reach=2)
    expected = np.zeros((6, 9), bool)
    expected[2:4, 2:7] = True
    expected[4, 2:4] = True
    np.testing.assert_array_equal(_seen(network, 4 * 9 + 4).reshape(6, 9), expected)


def test_messages_tell_what_the_four_nearest_see():
    network = LocalPixelCNN(256, (8, 13), features=16, num_layers=3, logistics=2, reach=2, messages=4)
    expected = np.zeros((8, 13), bool)
    for y, x in [(6, 6), (6, 5), (5, 6), (5, 5), (5, 7)]:
        expected[y - 2 : y, x - 2 : x + 3] = True
        expected[y, x - 2 : x] = True
    np.testing.assert_array_equal(_seen(network, 6 * 13 + 6).reshape(8, 13), expected)


def test_wavenet_sees_its_receptive_field_and_nothing_before_it():
    network = WaveNet(2, (24,), features=8, num_layers=4, dilation_cycle=3)
    assert network.receptive_field == 1 + 1 + 2 + 4 + 1
    expected = (np.arange(24) < 20) & (np.arange(24) >= 20 - network.receptive_field)
    np.testing.assert_array_equal(_seen(network, 20), expected)


def test_the_ring_buffers_of_wavenet_wrap_and_may_be_longer_than_the_sequence():
    network = WaveNet(3, (21,), features=8, num_layers=6, dilation_cycle=6)  # dilations 1 to 32
    symbols = np.random.default_rng(0).integers(0, 3, (2, 21)).astype(np.int32)
    full = ops.convert_to_numpy(network(symbols))
    cache, previous = network.init_cache(2), symbols[:, 0]
    for position in range(21):
        logits, cache = network.step(previous, cache, ops.convert_to_tensor(position, dtype="int32"))
        np.testing.assert_allclose(ops.convert_to_numpy(logits), full[:, position], atol=1e-5)
        previous = symbols[:, position]


def test_the_transformer_sees_everything_before():
    network = Transformer(2, (3, 4), features=8, num_layers=1, num_heads=2)
    # Rows of a matrix product may differ by a rounding (2e-7); what is seen makes 4e-3 and more.
    np.testing.assert_array_equal(_seen(network, 9, threshold=1e-5), np.arange(12) < 9)


def test_sizes_that_cannot_be_are_named():
    with pytest.raises(ValueError, match="num_heads=3 does not divide features=8"):
        Transformer(2, (3,), features=8, num_heads=3)
    with pytest.raises(ValueError, match="kernel_size=4; expected an odd number"):
        GatedPixelCNN(2, (3, 3), kernel_size=4)
    for wrong, message in (({"reach": 1}, "reach=1"), ({"logistics": 0}, "logistics=0"), ({}, "condition_features=2")):
        sizes = {"num_channels": 3, "logistics": 2, "condition_features": 2, **wrong}
        with pytest.raises(ValueError, match=message):
            LocalPixelCNN(256, (4, 4, 3), **{**sizes, **({"condition_features": 0} if wrong else {})})
    with pytest.raises(ValueError, match="has grid \\(3,\\); expected two axes"):
        LocalPixelCNN(4, (3,), logistics=2)
    with pytest.raises(ValueError, match="has grid \\(3,\\); expected two axes"):
        GatedPixelCNN(2, (3,))
    with pytest.raises(ValueError, match="needs a grid axis"):
        WaveNet(2, (3,), num_channels=3)


@pytest.mark.parametrize("stride", [1, 4])
def test_a_map_that_sites_share_is_the_same_map_repeated(stride):
    """In the full pass and step by step: the network with one vector a site is the oracle."""
    sizes = {"features": 8, "num_layers": 4, "dilation_cycle": 3, "condition_features": 3}
    shared, each = WaveNet(5, (12,), condition_stride=stride, **sizes), WaveNet(5, (12,), **sizes)
    rng = np.random.default_rng(0)
    symbols = rng.integers(0, 5, (2, 12)).astype(np.int32)
    features = rng.normal(size=(2, 12 // stride, 3)).astype(np.float32)
    repeated = np.repeat(features, stride, axis=1)
    shared.build()
    each.build()
    each.set_weights(shared.get_weights())
    expected = ops.convert_to_numpy(each(symbols, {"map": repeated}))
    np.testing.assert_allclose(shared(symbols, {"map": features}), expected, atol=1e-5)
    cache = shared.init_cache(2, {"map": features})
    for position in range(12):
        previous = symbols[:, max(position - 1, 0)]
        logits, cache = shared.step(previous, cache, ops.convert_to_tensor(position, dtype="int32"))
        np.testing.assert_allclose(ops.convert_to_numpy(logits), expected[:, position], atol=1e-5)
    drawn = sample(shared, 2, 3, {"map": features})
    np.testing.assert_array_equal(drawn, sample_naive(shared, 2, 3, {"map": features}))
    np.testing.assert_array_equal(drawn, sample(each, 2, 3, {"map": repeated}))
    copy = WaveNet.from_config(shared.get_config())
    assert copy.condition_grid == (12 // stride,)


def test_a_map_that_does_not_fit_the_sequence_is_refused():
    with pytest.raises(ValueError, match="condition_stride=5 over"):
        WaveNet(2, (12,), condition_features=2, condition_stride=5)
    with pytest.raises(ValueError, match="condition_stride=2 over"):
        WaveNet(2, (4, 4), condition_features=2, condition_stride=2)
    with pytest.raises(ValueError, match=r"map'\] of shape \(1, 12, 2\) given"):
        WaveNet(2, (12,), condition_features=2, condition_stride=4)(np.zeros((1, 12)), {"map": np.zeros((1, 12, 2))})
