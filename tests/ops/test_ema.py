"""Moving averages, histograms and random draws against NumPy."""

from __future__ import annotations

import keras
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from vq_vae_tf.ops.ema import code_histogram, draw_vectors, ema_codebook, ema_counts, sum_by_code
from vq_vae_tf.ops.random import counter_uniform, row_uniform


def test_histogram_and_sums_are_numpys():
    rng = np.random.default_rng(0)
    codes, values = rng.integers(0, 7, (50, 3)).astype("int32"), rng.normal(size=(50, 3, 2)).astype("float32")
    weights = rng.integers(0, 2, (50, 3)).astype("float32")
    counts, sums = np.zeros((3, 7)), np.zeros((3, 7, 2))
    for row in range(50):
        for book in range(3):
            counts[book, codes[row, book]] += weights[row, book]
            sums[book, codes[row, book]] += values[row, book]
    np.testing.assert_allclose(code_histogram(codes, weights, 7), counts)
    np.testing.assert_allclose(sum_by_code(values, codes, 7), sums, atol=1e-5)
    np.testing.assert_allclose(code_histogram(codes[:, 0], weights[:, 0], 7), counts[0])


def test_residual_form_is_the_papers_ratio_of_averages():
    rng = np.random.default_rng(1)
    start, decay = rng.normal(size=(6, 3)), 0.9
    codebook, usage = start.astype("float32"), np.full(6, 2.0, "float32")
    m, n_mean = 2.0 * start, np.full(6, 2.0)  # appendix A.1, equations 6 to 8
    for _ in range(20):
        z, codes = rng.normal(size=(11, 3)), rng.integers(0, 5, 11).astype("int32")  # code 5 is never used
        n = np.bincount(codes, minlength=6)
        sums = np.stack([z[codes == k].sum(0) for k in range(6)])
        m, n_mean = decay * m + (1 - decay) * sums, decay * n_mean + (1 - decay) * n
        usage = ema_counts(usage, n.astype("float32"), decay)
        residuals = sum_by_code((z - ops.convert_to_numpy(codebook)[codes]).astype("float32"), codes, 6)
        codebook = ema_codebook(codebook, residuals, usage, decay)
    np.testing.assert_allclose(codebook, m / n_mean[:, None], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(usage, n_mean, rtol=1e-5)
    np.testing.assert_array_equal(ops.convert_to_numpy(codebook)[5], start[5].astype("float32"))


def test_counts_are_zero_only_before_the_first_use():
    usage = np.array([0.0, 1e-20, 3.0], "float32")
    np.testing.assert_array_equal(ema_counts(usage, np.zeros(3, "float32"), 0.5), np.float32([0.0, 1e-20, 1.5]))


@settings(max_examples=30, deadline=None)
@given(n=st.integers(1, 60), slots=st.integers(1, 40), seed=st.integers(0, 1000), step=st.integers(0, 10**6))
def test_draws_are_different_valid_rows(n, slots, seed, step):
    rng = np.random.default_rng(seed)
    vectors = np.arange(n, dtype="float32")[:, None] + 1
    valid, needed = rng.random(n) < 0.7, rng.random(slots) < 0.7
    drawn, found = (ops.convert_to_numpy(x) for x in draw_vectors(vectors, valid, needed, seed, np.int32(step)))
    rows = drawn[found, 0] - 1
    assert len(set(rows)) == len(rows)
    assert all(valid[int(row)] for row in rows)
    assert not found[~needed].any()
    assert not drawn[~found].any()
    assert found.sum() == min(needed.sum(), valid.sum())


def _compiled(function):
    if keras.backend.backend() == "jax":
        import jax

        return jax.jit(function)
    import tensorflow as tf

    return tf.function(function, autograph=False, reduce_retracing=True)


def test_every_row_is_drawn_equally_often():
    vectors, everything = np.arange(8, dtype="float32")[:, None], np.ones(8, bool)
    draw = _compiled(lambda step: draw_vectors(vectors, everything, np.array([True, False, False]), 3, step))
    counts = np.zeros(8)
    for step in range(400):
        drawn, _ = draw(np.int32(step))
        counts[int(drawn[0, 0])] += 1
    assert counts.min() > 25
    assert counts.max() < 80


def test_of_strata_of_unequal_length_every_row_is_drawn():
    """Five rows for three slots: strata of rows 0 and 1, 2 and 3, 4, then turned; so much the slots differ by."""
    vectors, everything = np.arange(5, dtype="float32")[:, None], np.ones(5, bool)
    draw = _compiled(lambda step: draw_vectors(vectors, everything, np.ones(3, bool), 3, step)[0])
    rows = np.stack([ops.convert_to_numpy(draw(np.int32(step)))[:, 0] for step in range(400)]).astype(int)
    for slot in range(3):
        np.testing.assert_allclose(np.bincount(rows[:, slot], minlength=5) / 400, 1 / 5, atol=0.09)
    for slot, chances in ((1, [0, 1 / 4, 1 / 2, 1 / 4, 0]), (2, [0, 0, 0, 1 / 2, 1 / 2])):
        steps = np.bincount((rows[:, slot] - rows[:, 0]) % 5, minlength=5) / 400
        np.testing.assert_allclose(steps, chances, atol=0.1)
        assert not steps[np.array(chances) == 0].any()


def test_counter_uniform_is_uniform_and_a_function_of_its_arguments():
    u = ops.convert_to_numpy(counter_uniform(5, np.int32(9), 50_000))
    assert u.min() >= 0
    assert u.max() < 1
    np.testing.assert_allclose([u.mean(), u.var()], [1 / 2, 1 / 12], atol=5e-3)
    assert abs(np.corrcoef(u[1:], u[:-1])[0, 1]) < 0.02
    np.testing.assert_array_equal(u[:10], counter_uniform(5, np.int32(9), 10))
    for other in (counter_uniform(6, 9, 10), counter_uniform(5, 10, 10), counter_uniform(5, 9, 10, stream=1)):
        assert np.all(ops.convert_to_numpy(other) != u[:10])
    table = ops.convert_to_numpy(row_uniform(5, np.int32(9), np.arange(200, dtype="int32"), 100))
    np.testing.assert_allclose([table.mean(), table.var()], [1 / 2, 1 / 12], atol=0.01)
    np.testing.assert_array_equal(row_uniform(5, np.int32(9), np.array([7], "int32"), 100)[0], table[7])
