from __future__ import annotations

import itertools
import math

import keras
import numpy as np
import pytest
from keras import ops

import vq_vae_tf as vq
from vq_vae_tf.quantizers.codings import nearby_codings

SHAPE = (8, 8, 3)


def model(ema_decay: float | None = 0.99, num_embeddings: int = 16, **quantizer) -> vq.VQVAE:
    keras.utils.set_random_seed(1)
    built = vq.VQVAE(
        vq.ImageEncoder(4, units=8, residual_units=4, residual_blocks=1, name="encoder"),
        vq.VectorQuantizer(num_embeddings, 4, ema_decay=ema_decay, name="quantizer", **quantizer),
        vq.ImageDecoder(3, units=8, residual_units=4, residual_blocks=1, name="decoder"),
        vq.Gaussian(0.03, name="likelihood"),
    )
    built.build((None, *SHAPE))
    return built


def images(n: int = 6) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, *SHAPE)).astype(np.uint8)


def test_loss_is_the_papers_equation_in_numpy():
    m, x = model(None, initialization="random_normal", revive_below=0.0), images()
    z_e = np.asarray(m.encoder(x), np.float64)
    codebook = np.asarray(m.quantizer.codebook, np.float64)
    codes = ((z_e[..., None, :] - codebook) ** 2).sum(-1).argmin(-1)
    z_q = codebook[codes]
    u = x / 255.0 - 0.5
    mu = np.asarray(m.decoder(z_q.astype(np.float32)), np.float64)
    nats = ((u - mu) ** 2).mean() / (2 * 0.03) + 0.5 * math.log(2 * math.pi * 0.03) + math.log(255)
    expected = nats + (1 + 0.25) * ((z_e - z_q) ** 2).mean()
    terms = m.loss_terms(x, training=False)
    assert float(terms["loss"]) == pytest.approx(expected, rel=1e-5)
    assert float(terms["reconstruction"]) == pytest.approx(nats, rel=1e-5)
    np.testing.assert_array_equal(np.asarray(m.encode(x)), codes)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="gradients are taken with TensorFlow's tape here")
@pytest.mark.parametrize(("term", "encoder", "codebook", "decoder"), [
    ("reconstruction", True, False, True),
    ("quantization", True, True, False),
])  # fmt: skip
def test_what_each_term_reaches(term, encoder, codebook, decoder):
    import tensorflow as tf

    m, x = model(None, initialization="random_normal", revive_below=0.0), images()
    with tf.GradientTape() as tape:
        loss = m.loss_terms(x, training=True)[term]
    variables = m.trainable_variables
    reached = {
        v.path: g is not None and bool(np.any(np.asarray(tf.convert_to_tensor(g)) != 0))
        for v, g in zip(variables, tape.gradient(loss, [v.value for v in variables]), strict=True)
    }
    for part, wanted in (("encoder", encoder), ("quantizer", codebook), ("decoder", decoder)):
        touched = [hit for path, hit in reached.items() if f"{part}/" in path]
        assert touched
        assert any(touched) == wanted, f"{term} {'misses' if wanted else 'reaches'} the {part}"


def test_decoding_the_codes_is_the_forward_pass():
    m, x = model(), images()
    params = m(x, training=False)
    np.testing.assert_array_equal(np.asarray(m.decode_params(m.encode(x))), np.asarray(params))
    np.testing.assert_array_equal(np.asarray(m.reconstruct(x)), np.asarray(m.likelihood.mean(params)))


def test_a_dictionary_serves_as_well_as_the_tensor():
    m, x = model(), images()
    batch = {"x": x, "label": np.zeros(len(x), np.int32)}
    np.testing.assert_array_equal(np.asarray(m(batch)), np.asarray(m(x)))
    assert float(m.loss_terms(batch, False)["loss"]) == float(m.loss_terms(x, False)["loss"])


def test_plain_fit_lowers_the_loss_and_shows_the_codes_in_use():
    x = np.repeat(images(4), 8, axis=0)
    m = model()
    m.compile(keras.optimizers.Adam(1e-2))
    history = m.fit(x, batch_size=8, epochs=12, verbose=0, shuffle=False).history
    assert history["loss"][-1] < history["loss"][0] - 0.1
    assert 1 <= history["perplexity"][-1] <= history["codes_in_use"][-1] <= 16


def test_uniform_rate_is_counted_in_full():
    m, x = model(), images()
    terms = m.elbo(x)
    np.testing.assert_allclose(np.asarray(terms["rate"]), 2 * 2 * math.log(16), rtol=1e-6)
    np.testing.assert_allclose(
        np.asarray(terms["elbo"]), -np.asarray(terms["distortion"]) - np.asarray(terms["rate"]), rtol=1e-6
    )
    uniform = vq.UniformPrior(16, (2, 2))
    np.testing.assert_allclose(np.asarray(m.elbo(x, uniform)["rate"]), np.asarray(terms["rate"]), rtol=1e-5)


@pytest.mark.parametrize("prior", [None, "learned"])
def test_a_bound_over_more_codings_is_their_sum_and_never_looser(prior):
    m, x = model(), images()
    m(x, training=True)
    if prior is not None:
        prior = vq.Prior(vq.GatedPixelCNN(num_symbols=16, symbol_shape=(2, 2), features=8, num_layers=1))
        prior.build()
    bounds = [m.elbo(x, prior, iw_samples=count) for count in (1, 2, 5, 20)]
    totals = np.stack([np.asarray(bound["elbo"]) for bound in bounds])
    assert (np.diff(totals, axis=0) >= 0).all()
    assert (totals[-1] > totals[0]).all()
    each = []
    for codes in nearby_codings(m.quantizer, m.encoder(x), 5):
        rate = 4 * math.log(16) if prior is None else -np.asarray(prior.log_prob(codes), np.float64)
        each.append(np.asarray(m.likelihood.log_prob(m.decode_params(codes), x), np.float64) - rate)
    highest = np.max(each, axis=0)
    np.testing.assert_allclose(totals[2], highest + np.log(np.exp(each - highest).sum(0)), rtol=1e-6)
    for bound in bounds:
        np.testing.assert_allclose(bound["elbo"], -bound["distortion"] - bound["rate"], rtol=1e-6)
        np.testing.assert_allclose(bound["rate"], bounds[0]["rate"], rtol=1e-6)


def test_the_bound_with_drawn_codes_is_the_mean_over_q_and_never_above_log_p():
    """All 3^4 codings of a small model, one by one, in float64."""
    m, x = model(num_embeddings=3, temperature=0.7, initialization="random_normal"), images(2)
    z = np.asarray(m.encoder(x), np.float64).reshape(2, 4, 1, 4)
    distance = np.square(z - np.asarray(m.quantizer.codebook, np.float64)).sum(-1)
    log_q = -distance / 0.7 - log_sum(-distance / 0.7, axis=-1)[..., None]  # [images, places, codes]
    joint, q = [], []
    for coding in itertools.product(range(3), repeat=4):
        codes = np.tile(np.reshape(coding, (1, 2, 2)), (2, 1, 1)).astype("int32")
        joint.append(np.asarray(m.bound(codes, x)["elbo"], np.float64))
        q.append(log_q[:, np.arange(4), list(coding)].sum(-1))
    joint, q = np.stack(joint), np.stack(q)
    exact, log_p = (np.exp(q) * (joint - q)).sum(0), log_sum(joint, axis=0)
    many = np.repeat(x, 250, axis=0)  # rows draw for themselves
    draws = {count: np.asarray(m.drawn_elbo(many, 3, iw_samples=count)["elbo"]).reshape(2, 250).T for count in (1, 8)}
    spread = draws[1].std(0) / np.sqrt(len(draws[1]))
    assert (spread > 0).all()
    assert (np.abs(draws[1].mean(0) - exact) < 4 * spread).all()
    assert (exact < draws[8].mean(0)).all()
    assert (draws[8].mean(0) < log_p + 4 * draws[8].std(0) / np.sqrt(250)).all()
    assert (exact < log_p).all()
    terms = m.drawn_elbo(x, 1)
    np.testing.assert_allclose(terms["elbo"], -terms["distortion"] - terms["rate"], rtol=1e-6)


def log_sum(logs: np.ndarray, axis: int) -> np.ndarray:
    highest = logs.max(axis)
    return highest + np.log(np.exp(logs - np.expand_dims(highest, axis)).sum(axis))


def test_codes_are_drawn_where_the_quantizer_draws_them():
    with pytest.raises(ValueError, match="temperature > 0; this one is a VectorQuantizer"):
        model().drawn_elbo(images(), 0)


def test_keras_file_round_trip(tmp_path):
    m, x = model(), images()
    m(x)
    m.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(np.asarray(again.reconstruct(x)), np.asarray(m.reconstruct(x)))


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "float32"])
def test_quantisation_and_loss_stay_in_float32(policy):
    keras.utils.set_random_seed(1)
    m = vq.VQVAE(
        vq.ImageEncoder(4, units=8, residual_units=4, residual_blocks=1, dtype=policy),
        vq.VectorQuantizer(16, 4, ema_decay=0.99),
        vq.ImageDecoder(3, units=8, residual_units=4, residual_blocks=1, dtype=policy),
        vq.Gaussian(0.03),
        dtype=policy,
    )
    m.build((None, *SHAPE))
    terms = m.loss_terms(images(), training=True)
    assert {keras.backend.standardize_dtype(v.dtype) for v in terms.values()} == {"float32"}
    assert all(bool(ops.isfinite(v)) for v in terms.values())
    assert keras.backend.standardize_dtype(m.quantizer.codebook.dtype) == "float32"
    assert all(v.dtype == "float32" for v in m.trainable_variables)


@pytest.mark.parametrize("shape", [(None, 10, 8, 3), (None, 8, 8), (None, 2, 2, 3)])
def test_images_of_a_wrong_size_are_named(shape):
    with pytest.raises(ValueError, match=r"multiples of 4.*received shape"):
        vq.ImageEncoder(4, downsamplings=2).build(shape)
