"""The nearest codings of an example, against all of them in NumPy."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from keras import ops

from vq_vae_tf.ops.nearest import nearest_codes
from vq_vae_tf.quantizers import QUANTIZERS
from vq_vae_tf.quantizers.codings import nearby_codings

CASES = {
    "vector": {"num_embeddings": 6, "embedding_dim": 4},
    "vector_cosine": {"num_embeddings": 6, "embedding_dim": 4, "distance": "cosine"},
    "product": {"num_embeddings": 5, "embedding_dim": 4, "num_codebooks": 2},
    "simvq": {"num_embeddings": 6, "embedding_dim": 4},
    "entropy_constrained": {"num_embeddings": 6, "embedding_dim": 4, "bit_cost": 0.5},
    "finite_scalar": {"levels": (3, 2, 2, 3)},
    "lookup_free": {"num_bits": 4},
}


def _quantizer(case):
    layer = QUANTIZERS[case.removesuffix("_cosine")](**CASES[case])
    layer(_z(40, seed=9), training=True)
    return layer


def _z(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=(*shape, 4)).astype("float32")


def _all_substitutions(layer, z, own):
    """Added squared distance of every coding of one example that differs in one code, float64, by coding."""
    v = ops.convert_to_numpy(layer.comparable(z.reshape(-1, 4))).astype(np.float64)
    book = ops.convert_to_numpy(layer.codebook).astype(np.float64)
    v, book = v.reshape(len(v), -1, book.shape[-1]), book.reshape(-1, *book.shape[-2:])
    distance = np.square(v[:, :, None] - book).sum(-1).reshape(-1, layer.num_codes)  # [places, K]
    costs = {}
    for place, code in itertools.product(range(own.size), range(layer.num_codes)):
        if code != own.flat[place]:
            other = own.copy()
            other.flat[place] = code
            costs[other.tobytes()] = distance[place, code] - distance[place].min()
    return costs


@pytest.mark.parametrize("count", [2, 3, 7, 20])
@pytest.mark.parametrize("case", CASES)
def test_they_are_the_single_substitutions_that_add_least_distance(case, count):
    layer, z = _quantizer(case), _z(3, 2, 2)
    codings = ops.convert_to_numpy(nearby_codings(layer, z, count))
    own = ops.convert_to_numpy(layer.encode(z))
    assert codings.shape == (count, *own.shape)
    np.testing.assert_array_equal(codings[0], own)
    for example in range(len(z)):
        costs = _all_substitutions(layer, z[example], own[example])
        chosen = [costs[coding.tobytes()] for coding in codings[1:, example]]  # a coding twice removed has no cost
        assert len({coding.tobytes() for coding in codings[:, example]}) == count
        np.testing.assert_allclose(chosen, sorted(costs.values())[: count - 1], rtol=1e-4, atol=1e-5)


def test_fewer_are_the_first_of_more():
    layer, z = _quantizer("product"), _z(3, 2, 2)
    most = ops.convert_to_numpy(nearby_codings(layer, z, 20))
    for count in (1, 2, 5):
        np.testing.assert_array_equal(ops.convert_to_numpy(nearby_codings(layer, z, count)), most[:count])


def test_what_cannot_be_given_is_refused():
    layer = _quantizer("vector")
    assert nearby_codings(layer, _z(1, 1), 6).shape == (6, 1, 1)
    with pytest.raises(ValueError, match="7 codings asked for; expected 1 to 6"):
        nearby_codings(layer, _z(1, 1), 7)
    residual = QUANTIZERS["residual"](num_codebooks=2, num_embeddings=4, embedding_dim=4)
    with pytest.raises(ValueError, match="residual"):
        nearby_codings(residual, _z(1, 1), 2)


@pytest.mark.parametrize("books", [None, 3])
def test_nearest_codes_sort_the_distances_tile_by_tile(books, monkeypatch):
    monkeypatch.setattr("vq_vae_tf.ops.nearest.TILE", 1)  # 64 rows at a time
    rng = np.random.default_rng(0)
    z = rng.normal(size=(150, 5) if books is None else (150, books, 5)).astype("float32")
    book = rng.normal(size=(200, 5) if books is None else (books, 200, 5)).astype("float32")
    distance = np.square(z[..., None, :].astype(np.float64) - book).sum(-1)
    np.testing.assert_array_equal(ops.convert_to_numpy(nearest_codes(z, book, 4)), distance.argsort(-1)[..., :4])
