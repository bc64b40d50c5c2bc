"""A VQ-VAE over the codes of another one, as one model of images."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from vq_vae_tf import build
from vq_vae_tf import config as config_lib
from vq_vae_tf.errors import UserError
from vq_vae_tf.evaluation.likelihood import with_shuffled_codes
from vq_vae_tf.second_stage import MapDecoder, MapEncoder, SecondStage

SHAPE = (12, 12, 3)
FIRST = {"units": 8, "residual_units": 4, "num_embeddings": 8, "embedding_dim": 4, "data_variance": 0.05}
SECOND = {
    "first_stage": "RUN", "units": 8, "residual_units": 4, "residual_blocks": 1, "downsamplings": 1,
    "likelihood": "pixelcnn", "pixelcnn_units": 8, "pixelcnn_layers": 1,
    "quantizer": "product", "num_codebooks": 3, "num_embeddings": 4, "embedding_dim": 6, "data_variance": 0.05,
}  # fmt: skip


def images(batch=4, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (batch, *SHAPE)).astype(np.uint8)


@pytest.fixture(scope="module")
def first():
    keras.utils.set_random_seed(0)
    model = build.build_vqvae(config_lib.from_values(FIRST), SHAPE)
    model.loss_terms(images(8), training=True)  # codes start from data
    return model


@pytest.fixture(scope="module")
def stage(first):
    model = build.build_second_stage(config_lib.from_values(SECOND), first, SHAPE)
    model.loss_terms(images(8), training=True)
    return model


def test_three_codes_stand_for_an_image_and_give_one_back(stage):
    codes = ops.convert_to_numpy(stage.encode(images()))
    assert codes.shape == (4, 1, 1, 3)
    picture = ops.convert_to_numpy(stage.decode(codes))
    assert picture.shape == (4, *SHAPE)


def test_decoding_goes_through_codes_of_the_first_stage(stage, first):
    codes = stage.encode(images())
    drawn = stage.likelihood.mean(stage.decode_params(codes))
    expected = first.decode(ops.cast(drawn, "int32"))
    np.testing.assert_array_equal(ops.convert_to_numpy(stage.decode(codes)), ops.convert_to_numpy(expected))


def test_the_bound_is_the_sum_of_its_three_terms(stage, first):
    x = images()
    first_codes, codes = first.encode(x), stage.encode(x)
    logits = stage.likelihood.network(first_codes, {"map": stage.decode_params(codes)})
    logs = ops.convert_to_numpy(ops.log_softmax(logits, axis=-1)).astype(np.float64)
    of_codes = np.take_along_axis(logs, ops.convert_to_numpy(first_codes)[..., None], -1).sum((1, 2, 3))
    of_pixels = ops.convert_to_numpy(first.likelihood.log_prob(first.decode_params(first_codes), x))
    terms = {name: ops.convert_to_numpy(value) for name, value in stage.elbo(x).items()}
    np.testing.assert_allclose(terms["distortion"], -of_codes - of_pixels, rtol=1e-5)
    np.testing.assert_allclose(terms["rate"], 3 * np.log(4), rtol=1e-6)
    shuffled = with_shuffled_codes(stage)({"x": x})
    np.testing.assert_allclose(
        ops.convert_to_numpy(shuffled["distortion"]),
        ops.convert_to_numpy(stage.distortion(ops.roll(codes, 2, axis=0), x)),
        rtol=1e-6,
    )


def test_training_minimises_nats_per_code_of_the_first_stage(stage, first):
    x = images(8)
    terms = stage.loss_terms(x, training=False)
    first_codes = first.encode(x)
    nats = stage.likelihood.loss(stage.decode_params(stage.encode(x)), first_codes, training=False)
    np.testing.assert_allclose(float(terms["reconstruction"]), float(ops.mean(nats)) / 9, rtol=1e-5)


def test_the_first_stage_is_frozen_and_stays_as_it_is(stage, first):
    before = [ops.convert_to_numpy(w) for w in first.weights]
    assert not first.trainable_variables
    assert {id(v) for v in first.weights} <= {id(v) for v in stage.weights}
    stage.loss_terms(images(8, seed=1), training=True)
    for old, new in zip(before, first.weights, strict=True):
        np.testing.assert_array_equal(old, ops.convert_to_numpy(new))


def test_a_few_steps_of_plain_fit_make_the_codes_more_likely(first):
    keras.utils.set_random_seed(1)
    model = build.build_second_stage(config_lib.from_values(SECOND), first, SHAPE)
    model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.01, 60)))
    history = model.fit(images(8), batch_size=8, epochs=60, verbose=0).history["loss"]
    assert history[-1] < 0.7 * history[0]


def test_saved_and_loaded_it_encodes_and_draws_the_same(stage, tmp_path):
    stage.save(tmp_path / "stage.keras")
    loaded = keras.saving.load_model(tmp_path / "stage.keras")
    assert isinstance(loaded, SecondStage)
    codes = ops.convert_to_numpy(stage.encode(images()))
    np.testing.assert_array_equal(ops.convert_to_numpy(loaded.encode(images())), codes)
    np.testing.assert_array_equal(ops.convert_to_numpy(loaded.decode(codes)), ops.convert_to_numpy(stage.decode(codes)))


@pytest.mark.parametrize("grid", [(21, 21), (8, 5), (1, 3)])
def test_maps_of_any_size_become_one_vector_and_maps_again(grid):
    encoder = MapEncoder(5, units=8, residual_units=4, residual_blocks=1, downsamplings=3)
    decoder = MapDecoder(7, grid, units=8, residual_units=4, residual_blocks=1, upsamplings=3)
    z = encoder(np.zeros((2, *grid, 4), np.float32))
    assert tuple(z.shape) == (2, 1, 1, 5) == tuple(encoder.compute_output_shape((2, *grid, 4)))
    assert tuple(decoder(z).shape) == (2, *grid, 7) == tuple(decoder.compute_output_shape(z.shape))


def test_every_place_of_the_map_reaches_the_vector():
    encoder = MapEncoder(5, units=8, residual_units=4, residual_blocks=1, downsamplings=2)
    x = np.zeros((1, 6, 6, 2), np.float32)
    before = ops.convert_to_numpy(encoder(x))
    for row, column in ((0, 0), (0, 5), (3, 2), (5, 5)):
        changed = x.copy()
        changed[0, row, column] = 10.0
        assert (ops.convert_to_numpy(encoder(changed)) != before).any()


@pytest.mark.parametrize("wrong", [{"likelihood": "gaussian"}, {"quantizer": "vector"}])
def test_other_likelihoods_and_quantizers_are_refused(first, wrong):
    with pytest.raises(UserError, match="give --likelihood=pixelcnn --quantizer=product"):
        build.build_second_stage(config_lib.from_values(SECOND | wrong), first, SHAPE)


@pytest.mark.parametrize("wrong", [{"contrast_codes": True}, {"contrast_weight": 0.5}])
def test_what_is_of_pixels_is_refused_and_not_ignored(first, wrong):
    with pytest.raises(UserError, match=r"--first_stage=.* with --contrast_codes or --contrast_weight"):
        build.build_second_stage(config_lib.from_values(SECOND | wrong), first, SHAPE)


def test_a_first_stage_with_several_codes_at_a_place_is_refused():
    several = build.build_vqvae(config_lib.from_values(FIRST | {"quantizer": "product", "num_codebooks": 2}), SHAPE)
    with pytest.raises(UserError, match=r"--first_stage=RUN: .*several codes at a place"):
        build.build_second_stage(config_lib.from_values(SECOND), several, SHAPE)
