"""Every level learns, and prefixes of the codes decode."""

from __future__ import annotations

import numpy as np
import pytest
from keras import ops

from vq_vae_tf.quantizers import ResidualQuantizer


def _z(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def _oracle(z, codebook):
    """Per level: codes, residuals, parts, by greedy search in float64."""
    codes, residuals, parts, left = [], [], [], z.astype("float64")
    for book in codebook:
        codes.append(np.square(left[:, None] - book).sum(-1).argmin(1))
        residuals.append(left)
        parts.append(book[codes[-1]])
        left = left - parts[-1]
    return np.stack(codes, 1), residuals, parts


def test_gradients_reach_z_and_the_codes_from_every_level(gradients):
    layer = ResidualQuantizer(3, 5, 4, commitment_cost=0.6, initialization="random_normal", revive_below=0)
    layer.build((None, 4))
    z = _z(12, 4)
    codebook = ops.convert_to_numpy(layer.codebook)
    codes, residuals, parts = _oracle(z, codebook)
    given = gradients(layer, z, 0 * z)
    scale = 2 / z.size / 3
    expected = sum(0.6 * scale * (residual - part) for residual, part in zip(residuals, parts, strict=True))
    np.testing.assert_allclose(given[0], expected, atol=1e-6)
    for level in range(3):
        to_codes = np.zeros_like(codebook[level])
        np.add.at(to_codes, codes[:, level], scale * (parts[level] - residuals[level]))
        np.testing.assert_allclose(given[1 + level], to_codes, atol=1e-6)
    np.testing.assert_array_equal(layer.encode(z), codes)


@pytest.mark.parametrize("shared", [False, True])
def test_each_more_level_brings_the_decoded_vector_nearer(shared):
    layer = ResidualQuantizer(4, 16, 3, ema_decay=0.9, shared=shared)
    for step in range(20):
        layer(_z(64, 3, seed=step), training=True)
    z = _z(200, 3, seed=99)
    codes = layer.encode(z)
    errors = [np.square(z - ops.convert_to_numpy(layer.decode(codes[:, :n]))).mean() for n in (1, 2, 3, 4)]
    assert errors[0] > 1.3 * errors[1]
    assert errors[1] > errors[2] > errors[3]


def test_codes_of_a_level_that_steps_leave_out_are_not_dead():
    layer = ResidualQuantizer(2, 4, 4, level_dropout=1.0, ema_decay=0.5, revive_below=0.9)
    z = np.repeat(np.eye(4, dtype=np.float32)[:2], 50, axis=0)  # two vectors: half of the codes are not used
    for _ in range(5):
        layer(z, training=True)
    for _ in range(40):
        before = ops.convert_to_numpy(layer.code_counts.value)[1].sum()
        usage = ops.convert_to_numpy(layer._books[1].usage)
        layer(z, training=True)
        if ops.convert_to_numpy(layer.code_counts.value)[1].sum() == before:
            np.testing.assert_array_equal(ops.convert_to_numpy(layer._books[1].usage) >= usage - 1e-6, True)


@pytest.mark.parametrize("levels", [1, 4])
def test_codes_of_a_shared_book_are_dead_below_a_share_of_their_mean_use(levels):
    layer = ResidualQuantizer(levels, 8, 4, shared=True, ema_decay=0.9, revive_below=0.5)
    layer.build((None, 4))
    layer(_z(64, 4), training=True)
    (book,) = set(layer._books)
    share = levels * 64 / 8
    book.usage.assign(np.where(np.arange(8) < 2, 0.4 * share, 3 * share).astype(np.float32))
    before = ops.convert_to_numpy(book.value).copy()
    book.prepare(ops.convert_to_tensor(_z(64, 4, seed=1)), np.ones(64, bool), levels)
    moved = np.abs(ops.convert_to_numpy(book.value) - before).max(-1) > 0
    np.testing.assert_array_equal(moved, np.arange(8) < 2)
    np.testing.assert_allclose(ops.convert_to_numpy(book.usage)[:2], share)


def test_level_dropout_uses_prefixes_and_counts_only_them():
    """In the loss also: its mean is over the levels that the step uses."""
    layer = ResidualQuantizer(
        3, 5, 4, level_dropout=1.0, commitment_cost=0.6, ema_decay=0.9, initialization="random_normal", revive_below=0
    )
    layer.build((None, 4))
    seen = set()
    for step in range(12):
        z, start = _z(10, 4, seed=step), ops.convert_to_numpy(layer.codebook).copy()
        _, residuals, parts = _oracle(z, start)
        before = ops.convert_to_numpy(layer.code_counts.value).sum(-1)
        output = ops.convert_to_numpy(layer(z, training=True))
        counted = ops.convert_to_numpy(layer.code_counts.value).sum(-1) - before
        levels = int(counted.sum() / 10)
        seen.add(levels)
        np.testing.assert_array_equal(counted, 10 * (np.arange(3) < levels))
        np.testing.assert_allclose(output, sum(parts[:levels]), atol=1e-5)
        errors = [np.square(residuals[level] - parts[level]).mean() for level in range(levels)]
        np.testing.assert_allclose(float(sum(layer.losses)), 0.6 * np.mean(errors), rtol=1e-5)
        moved = np.abs(ops.convert_to_numpy(layer.codebook) - start).max((1, 2)) > 0
        np.testing.assert_array_equal(moved, np.arange(3) < levels)
    assert seen == {1, 2, 3}
    z = _z(10, 4)
    np.testing.assert_array_equal(layer(z), layer.decode(layer.encode(z)))
