"""Nearest codes against a float64 oracle, up to ties."""

from __future__ import annotations

import math

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from vq_vae_tf.ops import nearest
from vq_vae_tf.ops.nearest import nearest_code, nearest_codes

LIMIT = 1 << 22
"""Products held at once: what the docstring of `nearest_code` promises."""


def _vectors(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def _costs(z, codebook, penalty=0.0):
    """float64 `[n, num_codes]`: what each code would cost each vector."""
    difference = z.astype("float64")[:, None] - codebook.astype("float64")
    return np.square(difference).sum(-1) + penalty


def _assert_nearest(codes, costs):
    codes = ops.convert_to_numpy(codes)
    chosen = costs[np.arange(len(costs)), codes]
    np.testing.assert_allclose(chosen, costs.min(1), rtol=0, atol=1e-4 * (1 + np.abs(costs).max()))


@settings(max_examples=25, deadline=None)
@given(
    n=st.integers(0, 40),
    k=st.integers(2, 300),
    dim=st.integers(1, 9),
    scale=st.floats(0.01, 100),
    seed=st.integers(0, 9),
)
def test_nearest_code_is_the_oracles_up_to_ties(n, k, dim, scale, seed):
    z, codebook = scale * _vectors(n, dim, seed=seed), scale * _vectors(k, dim, seed=seed + 1)
    codes = nearest_code(z, codebook)
    assert codes.shape == (n,)
    if n:
        _assert_nearest(codes, _costs(z, codebook))


@settings(max_examples=15, deadline=None)
@given(k=st.integers(2, 40), seed=st.integers(0, 99))
def test_error_never_grows_with_one_more_code(k, seed):
    z, codebook = _vectors(30, 4, seed=seed), _vectors(k + 1, 4, seed=seed + 1)
    error = [_costs(z, c)[np.arange(30), ops.convert_to_numpy(nearest_code(z, c))] for c in (codebook[:k], codebook)]
    assert np.all(error[1] <= error[0] + 1e-5)


@pytest.mark.parametrize("k", [5, 200, 1100])
def test_tiles_change_nothing(monkeypatch, k):
    z, codebook = _vectors(331, 6), _vectors(k, 6, seed=1)
    whole = ops.convert_to_numpy(nearest_code(z, codebook))
    monkeypatch.setattr(nearest, "TILE", 1)  # the floor of 64 rows per tile remains
    np.testing.assert_array_equal(ops.convert_to_numpy(nearest_code(z, codebook)), whole)
    _assert_nearest(whole, _costs(z, codebook))


def test_slices_have_codebooks_of_their_own(monkeypatch):
    z, codebook = _vectors(150, 3, 5), _vectors(3, 130, 5, seed=1)
    codes = ops.convert_to_numpy(nearest_code(z, codebook))
    for book in range(3):
        _assert_nearest(codes[:, book], _costs(z[:, book], codebook[book]))
    monkeypatch.setattr(nearest, "TILE", 1)
    np.testing.assert_array_equal(ops.convert_to_numpy(nearest_code(z, codebook)), codes)


@pytest.fixture
def products_held(monkeypatch):
    """The sizes of all the products that are made, also inside of a TensorFlow graph."""
    sizes, products = [], nearest.products

    def spied(tile, table):
        found = products(tile, table)
        if None not in tuple(found.shape):
            sizes.append(math.prod(found.shape))
            return found
        import tensorflow as tf

        with tf.control_dependencies([tf.numpy_function(lambda n: sizes.append(int(n)), [tf.size(found)], [])]):
            return tf.identity(found)

    monkeypatch.setattr(nearest, "products", spied)
    return sizes


@pytest.mark.parametrize(("n", "k"), [(3000, 4096), (150, 1 << 17)])
def test_there_are_never_as_many_products_as_pairs(n, k, products_held):
    z, codebook = _vectors(n, 2), _vectors(k, 2, seed=1)
    for search in (nearest_code, lambda *both: nearest_codes(*both, 2)):
        search(z, codebook)
        assert 0 < max(products_held) <= max(LIMIT, 64 * k) < n * k
        products_held.clear()


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="a graph that does not know how many vectors come")
def test_there_are_no_more_of_them_in_a_graph(products_held):
    import tensorflow as tf

    codebook = _vectors(4096, 2, seed=1)
    search = tf.function(lambda z: nearest_code(z, codebook), input_signature=[tf.TensorSpec((None, 2))])
    z = _vectors(3000, 2)
    codes = search(z)
    assert sum(products_held) >= 3000 * 4096
    assert max(products_held) <= LIMIT
    np.testing.assert_array_equal(codes, nearest_code(z, codebook))


def test_penalty_is_squared_distance():
    z, codebook = _vectors(50, 4), _vectors(140, 4, seed=1)
    penalty = np.abs(_vectors(140, seed=2))
    _assert_nearest(nearest_code(z, codebook, penalty), _costs(z, codebook, penalty))


def test_codes_are_in_range_whatever_comes():
    z = np.array([[np.nan, 0], [np.inf, 1], [-np.inf, 2], [3e38, -3e38]], "float32")
    for k in (3, 130):
        codes = ops.convert_to_numpy(nearest_code(z, _vectors(k, 2)))
        assert codes.min() >= 0
        assert codes.max() < k


def test_equally_near_codes_give_the_lowest():
    codebook = np.zeros((200, 3), "float32")
    np.testing.assert_array_equal(ops.convert_to_numpy(nearest_code(_vectors(10, 3), codebook)), np.zeros(10))
