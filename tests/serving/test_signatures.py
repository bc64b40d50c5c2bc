"""Every signature of the reloaded SavedModel equals the model in hand, and refuses what it must refuse."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf


def draw(prior, seed, label, temperature=1.0, given=None, keep_mask=None):
    """The in-process draw, compiled as the pipeline and the export compile it."""

    @tf.function(jit_compile=True, autograph=False)
    def drawn():
        condition = {"label": tf.constant(label)}
        return prior.sample(len(label), seed, condition, temperature, given=given, keep_mask=keep_mask)

    return drawn().numpy()


def ask(signatures, name, **arguments):
    given = signatures[name](**{key: tf.constant(value) for key, value in arguments.items()})
    return {key: value.numpy() for key, value in given.items()}


def sample(signatures, seed, label, temperature=1.0):
    return ask(signatures, "sample", seed=np.int32(seed), label=label, temperature=np.float32(temperature))


def as_image(x):
    return np.clip(np.rint(x), 0, 255).astype(int)


def test_names_types_and_shapes_are_the_promised_ones(signatures):
    image, codes, label = ("uint8", (None, 8, 8, 3)), ("int32", (None, 2, 2)), ("int32", (None,))
    seed, temperature = ("int32", ()), ("float32", ())
    promised = {
        "encode": ({"image": image}, {"codes": codes}),
        "decode": ({"codes": codes}, {"image": image}),
        "reconstruct": ({"image": image}, {"image": image}),
        "serving_default": ({"image": image}, {"image": image}),
        "encode_png": ({"image_bytes": ("string", (None,))}, {"codes": codes}),
        "sample": ({"seed": seed, "label": label, "temperature": temperature}, {"image": image, "codes": codes}),
        "complete": (
            {"image": image, "keep_mask": codes, "seed": seed, "label": label, "temperature": temperature},
            {"image": image, "codes": codes},
        ),
        "log_prob": ({"codes": codes, "label": label}, {"log_prob": ("float32", (None,))}),
        "elbo": ({"image": image}, {"distortion": ("float32", (None,)), "rate": ("float32", (None,))}),
    }

    def plain(specs):
        return {name: (spec.dtype.name, tuple(spec.shape)) for name, spec in specs.items()}

    found = {
        name: (plain(f.structured_input_signature[1]), plain(f.structured_outputs))
        for name, f in signatures.items()
        if name != "model"
    }
    assert found == promised


def test_encode_decode_reconstruct(signatures, vqvae, images):
    codes = ask(signatures, "encode", image=images)["codes"]
    np.testing.assert_array_equal(codes, vqvae.encode(images))
    assert len(np.unique(codes)) > 2, "a test on one code would prove nothing"
    image = ask(signatures, "decode", codes=codes)["image"]
    assert image.dtype == np.uint8
    assert np.abs(image - as_image(vqvae.decode(codes))).max() <= 1
    for name in ("reconstruct", "serving_default"):
        np.testing.assert_array_equal(ask(signatures, name, image=images)["image"], image)


def test_encode_does_not_depend_on_the_batch(signatures, images):
    together = ask(signatures, "encode", image=images)["codes"]
    for i in range(len(images)):
        np.testing.assert_array_equal(ask(signatures, "encode", image=images[i : i + 1])["codes"], together[i : i + 1])


def test_sample_is_the_priors_draw_and_its_picture(signatures, vqvae, prior, labels):
    given = sample(signatures, 5, labels)
    np.testing.assert_array_equal(given["codes"], draw(prior, 5, labels))
    assert np.abs(given["image"] - as_image(vqvae.decode(given["codes"]))).max() <= 1
    np.testing.assert_array_equal(sample(signatures, 5, labels)["codes"], given["codes"])
    assert np.any(sample(signatures, 6, labels)["codes"] != given["codes"])
    assert np.any(sample(signatures, 5, labels[::-1])["codes"] != given["codes"]), "the label must matter"


def test_temperature_near_zero_takes_the_likeliest_whatever_the_seed(signatures, prior, labels):
    cold = sample(signatures, 1, labels, 1e-6)["codes"]
    np.testing.assert_array_equal(sample(signatures, 2, labels, 1e-6)["codes"], cold)
    logits = np.asarray(prior({"codes": cold, "label": labels}))
    np.testing.assert_array_equal(np.argmax(logits, axis=-1), cold)


def test_complete_keeps_what_it_is_told_and_draws_the_rest(signatures, vqvae, prior, images, labels):
    def complete(mask):
        return ask(
            signatures, "complete", image=images, keep_mask=mask, seed=np.int32(5), label=labels,
            temperature=np.float32(1.0),
        )  # fmt: skip

    codes = np.asarray(vqvae.encode(images))
    mask = np.arange(24, dtype=np.int32).reshape(6, 2, 2) % 3 % 2
    given = complete(mask)
    np.testing.assert_array_equal(given["codes"][mask == 1], codes[mask == 1])
    np.testing.assert_array_equal(given["codes"], draw(prior, 5, labels, given=codes, keep_mask=mask))
    assert np.abs(given["image"] - as_image(vqvae.decode(given["codes"]))).max() <= 1
    np.testing.assert_array_equal(complete(np.ones_like(mask))["codes"], codes)
    np.testing.assert_array_equal(complete(np.zeros_like(mask))["codes"], sample(signatures, 5, labels)["codes"])


def test_elbo_is_the_models_bound_under_a_uniform_prior(signatures, vqvae, images):
    given = ask(signatures, "elbo", image=images)
    ours = vqvae.elbo(images)
    np.testing.assert_allclose(given["distortion"] + given["rate"], -np.asarray(ours["elbo"]), rtol=1e-5)
    np.testing.assert_allclose(given["rate"], 4 * np.log(8), rtol=1e-6)


def test_log_prob_is_the_priors_and_sums_to_one(signatures, prior, labels):
    every = np.stack(np.meshgrid(*[np.arange(8)] * 4, indexing="ij"), -1).reshape(-1, 2, 2).astype(np.int32)
    nats = ask(signatures, "log_prob", codes=every, label=np.full(len(every), 1, np.int32))["log_prob"]
    np.testing.assert_allclose(np.exp(nats.astype(float)).sum(), 1.0, rtol=1e-4)
    some = ask(signatures, "log_prob", codes=every[:6], label=labels)["log_prob"]
    np.testing.assert_allclose(some, prior.log_prob(every[:6], {"label": labels}), rtol=1e-4)
    assert np.abs(some - nats[:6]).max() > 1e-3, "the label must matter"


def test_encode_png_takes_pictures_of_any_size_and_kind(signatures, vqvae, images):
    exact = [tf.io.encode_png(image).numpy() for image in images]
    codes = ask(signatures, "encode_png", image_bytes=exact)["codes"]
    np.testing.assert_array_equal(codes, vqvae.encode(images))

    wide = np.kron(images[0], np.ones((4, 4, 1), np.uint8))  # 32 x 32, every pixel four by four
    wide = np.concatenate([np.zeros((32, 10, 3), np.uint8), wide, np.full((32, 10, 3), 255, np.uint8)], axis=1)
    grey = np.repeat(images[1][..., :1], 3, axis=-1)
    files = [tf.io.encode_png(wide).numpy(), tf.io.encode_png(grey[..., :1]).numpy()]
    np.testing.assert_array_equal(
        ask(signatures, "encode_png", image_bytes=files)["codes"], vqvae.encode(np.stack([images[0], grey]))
    )
    flat = np.full((8, 8, 3), 128, np.uint8)
    jpeg = [tf.io.encode_jpeg(flat, quality=100).numpy()]
    np.testing.assert_array_equal(ask(signatures, "encode_png", image_bytes=jpeg)["codes"], vqvae.encode(flat[None]))


@pytest.mark.parametrize(
    ("name", "wrong", "message"),
    [
        ("decode", {"codes": np.full((1, 2, 2), 8, np.int32)}, r"codes: expected integers in 0\.\.7"),
        ("decode", {"codes": np.full((1, 2, 2), -1, np.int32)}, r"codes: expected integers in 0\.\.7"),
        ("log_prob", {"codes": np.full((1, 2, 2), 8, np.int32)}, r"codes: expected integers in 0\.\.7"),
        ("log_prob", {"label": np.array([3], np.int32)}, r"label: expected integers in 0\.\.2"),
        ("sample", {"label": np.array([0, 3], np.int32)}, r"label: expected integers in 0\.\.2"),
        ("sample", {"temperature": np.float32(0)}, "temperature: expected a finite number above 0"),
        ("sample", {"temperature": np.float32("nan")}, "temperature: expected a finite number above 0"),
        ("complete", {"keep_mask": np.full((1, 2, 2), 2, np.int32)}, r"keep_mask: expected integers in 0\.\.1"),
        ("complete", {"label": np.array([-1], np.int32)}, r"label: expected integers in 0\.\.2"),
        ("complete", {"label": np.array([0, 1], np.int32)}, "label and image: expected as many of one as of the other"),
        ("complete", {"keep_mask": np.zeros((2, 2, 2), np.int32)}, "keep_mask and image: expected as many of one as"),
        ("log_prob", {"codes": np.zeros((2, 2, 2), np.int32)}, "label and codes: expected as many of one as of"),
        ("encode_png", {"image_bytes": np.array([b"no picture"])}, "image"),
    ],
)
def test_a_wrong_value_is_one_clear_error(signatures, images, name, wrong, message):
    right = {
        "codes": np.zeros((1, 2, 2), np.int32),
        "label": np.array([0], np.int32),
        "seed": np.int32(0),
        "temperature": np.float32(1),
        "image": images[:1],
        "keep_mask": np.zeros((1, 2, 2), np.int32),
    }
    needed = signatures[name].structured_input_signature[1]
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        ask(signatures, name, **{argument: {**right, **wrong}[argument] for argument in needed})


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("encode", {"image": np.zeros((1, 16, 16, 3), np.uint8)}),
        ("reconstruct", {"image": np.zeros((1, 4, 16, 3), np.uint8)}),  # as many pixels as it should have
        ("serving_default", {"image": np.zeros((3, 8, 8, 1), np.uint8)}),
        ("decode", {"codes": np.zeros((1, 1, 4), np.int32)}),
        ("decode", {"codes": np.zeros((2, 2), np.int32)}),
    ],
)
def test_another_shape_is_refused(signatures, name, wrong):
    with pytest.raises(tf.errors.InvalidArgumentError, match="is not compatible with expected shape"):
        ask(signatures, name, **wrong)
