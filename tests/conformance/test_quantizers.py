"""What every registered quantizer promises."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from vq_vae_tf.quantizers import QUANTIZERS

TENSORFLOW = keras.backend.backend() == "tensorflow"
BOOK = {"num_embeddings": 8, "embedding_dim": 4}
CASES = {
    "vector": ("vector", BOOK),
    "vector_ema": ("vector", {**BOOK, "ema_decay": 0.9}),
    "vector_cosine": ("vector", {**BOOK, "ema_decay": 0.9, "distance": "cosine"}),
    "vector_rotation": ("vector", {**BOOK, "gradient": "rotation"}),
    "vector_sampled": ("vector", {**BOOK, "temperature": 0.5}),
    "product": ("product", {**BOOK, "num_codebooks": 2}),
    "product_ema": ("product", {**BOOK, "num_codebooks": 2, "ema_decay": 0.9}),
    "product_sampled": ("product", {**BOOK, "num_codebooks": 2, "ema_decay": 0.9, "temperature": 0.5}),
    "product_exact": (
        "product",
        {**BOOK, "num_codebooks": 2, "ema_decay": 0.9, "temperature": 0.5, "rate_cost": 0.1},
    ),
    "residual": ("residual", {**BOOK, "num_codebooks": 3}),
    "residual_shared": (
        "residual",
        {**BOOK, "num_codebooks": 3, "shared": True, "ema_decay": 0.9, "level_dropout": 0.5},
    ),
    "finite_scalar": ("finite_scalar", {"levels": (5, 4, 3, 2)}),
    "lookup_free": ("lookup_free", {"num_bits": 4}),
    "simvq": ("simvq", BOOK),
    "entropy_constrained": ("entropy_constrained", {**BOOK, "ema_decay": 0.9}),
}
LONG = ("vector", "vector_ema", "product_ema", "residual_shared", "vector_sampled", "product_sampled")
"""Cases that two replicas train until codes die and are revived."""
every_case = pytest.mark.parametrize("case", CASES)


def _make(case, **kwargs):
    name, arguments = CASES[case]
    return QUANTIZERS[name](**arguments, **kwargs)


def _z(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=(*shape, 4)).astype("float32")


def _trained(case, **kwargs):
    layer = _make(case, **kwargs)
    layer(_z(6, 3, 2), training=True)
    return layer


def _copy(layer):
    copy = type(layer).from_config(layer.get_config())
    copy.build((None, 4))
    copy.set_weights(layer.get_weights())
    return copy


def _assert_same_state(a, b, **tolerance):
    _assert_same_weights(a.weights, b.weights, **tolerance)


def _assert_same_weights(ours, theirs, **tolerance):
    for left, right in zip(ours, theirs, strict=True):
        values = ops.convert_to_numpy(left.value), ops.convert_to_numpy(right.value)
        np.testing.assert_allclose(*values, err_msg=left.path, **tolerance)


def _loss(layer):
    return float(sum(layer.losses))


def test_every_registered_quantizer_has_a_case():
    assert {name for name, _ in CASES.values()} == set(QUANTIZERS)


@every_case
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_output_is_decode_of_encode_in_the_inputs_type(case, policy):
    layer = _make(case, dtype=policy)
    z = ops.cast(_z(5, 3, 2), keras.DTypePolicy(policy).compute_dtype)
    assert layer(z, training=True).dtype == z.dtype
    codes = layer.encode(z)
    assert keras.backend.standardize_dtype(codes.dtype) == "int32"
    assert tuple(codes.shape) == (5, *layer.code_shape((3, 2, 4)))
    vectors, output = layer.decode(codes), layer(z, training=False)
    assert keras.backend.standardize_dtype(vectors.dtype) == "float32"
    np.testing.assert_array_equal(ops.convert_to_numpy(ops.cast(vectors, z.dtype)), ops.convert_to_numpy(output))
    assert all(v.dtype in ("float32", "int32") for v in layer.weights)


@every_case
def test_codes_of_codes_are_codes(case):
    layer = _trained(case)
    if case in ("residual", "residual_shared", "entropy_constrained", "vector_rotation"):
        pytest.skip(
            "the code nearest to a code vector may be another: levels are greedy, codes have prices or are equal"
        )
    codes = np.unique(ops.convert_to_numpy(layer.encode(_z(200, seed=1))), axis=0)
    vectors = layer.decode(codes)
    if case.startswith("finite"):  # z_q is on the scale of tanh's output, not of its input
        middle = layer.codebook.shape[0]
        assert len(np.unique(ops.convert_to_numpy(layer.codebook), axis=0)) == middle == layer.num_codes
        return
    np.testing.assert_array_equal(ops.convert_to_numpy(layer.encode(vectors)), codes)


@every_case
@pytest.mark.parametrize("grid", [(), (7,), (2, 3), (2, 1, 3)])
def test_grids_of_any_rank_are_the_flat_result(case, grid):
    layer = _trained(case)
    z = _z(4, *grid)
    flat = layer(z.reshape(-1, 4))
    np.testing.assert_array_equal(ops.convert_to_numpy(layer(z)).reshape(-1, 4), ops.convert_to_numpy(flat))


@every_case
def test_config_gives_the_same_quantizer(case):
    layer = _trained(case)
    copy = _copy(layer)
    assert copy.get_config() == layer.get_config()
    np.testing.assert_array_equal(copy.encode(_z(9)), layer.encode(_z(9)))


@every_case
def test_compiled_steps_are_the_eager_ones(case):
    eager, compiled = _make(case), _make(case)
    eager.build((None, 4))
    compiled.build((None, 4))
    compiled.set_weights(eager.get_weights())

    def step(trained, others, z):
        return compiled.stateless_call(trained, others, z, training=True, return_losses=True)

    if TENSORFLOW:
        import tensorflow as tf

        step = tf.function(step, jit_compile=True, autograph=False)
    else:
        import jax

        step = jax.jit(step)
    trained = [ops.copy(v) for v in compiled.trainable_variables]
    others = [ops.copy(v) for v in compiled.non_trainable_variables]
    for seed in range(3):
        output = eager(_z(10, 2, seed=seed), training=True)
        got, others, losses = step(trained, others, ops.convert_to_tensor(_z(10, 2, seed=seed)))
        np.testing.assert_allclose(got, output, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(float(sum(losses)), _loss(eager), rtol=1e-5, atol=1e-6)
    for variable, value in zip(eager.non_trainable_variables, others, strict=True):
        np.testing.assert_allclose(variable.value, value, rtol=1e-5, atol=1e-6, err_msg=variable.path)


@every_case
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_masked_vectors_change_nothing(case, rank):
    a = _trained(case)
    b = _copy(a)
    z = _z(6, 3, 2, seed=1)
    mask = np.random.default_rng(2).random((6, 3, 2)[:rank]) < 0.6
    full = np.broadcast_to(mask.reshape(*mask.shape, *(1,) * (3 - rank)), (6, 3, 2))
    other = np.where(full[..., None], z, np.where(rank == 2, np.nan, 100 * _z(6, 3, 2, seed=3))).astype("float32")
    out = [ops.convert_to_numpy(layer(x, mask=mask, training=True)) for layer, x in ((a, z), (b, other))]
    np.testing.assert_array_equal(out[0][full], out[1][full])
    np.testing.assert_allclose(_loss(a), _loss(b), rtol=1e-6)
    _assert_same_state(a, b, rtol=1e-6, atol=1e-6)
    books = layer_books(a)
    counted = a.code_counts.value - _trained_counts(case)
    assert float(ops.sum(counted)) <= full.sum() * books


def layer_books(layer):
    return layer.num_codebooks or 1


def _trained_counts(case):
    return _trained(case).code_counts.value


@every_case
def test_loss_of_a_mask_is_the_loss_of_what_it_keeps(case):
    layer = _trained(case)
    z, mask = _z(6, 3, seed=1), np.random.default_rng(2).random((6, 3)) < 0.5
    layer(z, mask=mask)
    masked = _loss(layer)
    layer(z[mask])
    np.testing.assert_allclose(masked, _loss(layer), rtol=1e-5)


@every_case
def test_frozen_layers_only_count(case):
    layer = _trained(case)
    layer.trainable = False
    before = {v.path: np.array(v.value) for v in layer.weights}
    counted = float(ops.sum(layer.code_counts.value))
    layer(_z(30, seed=4) + 3, training=True)
    assert layer.trainable_variables == []
    assert float(ops.sum(layer.code_counts.value)) > counted
    for v in layer.weights:
        if v is not layer.code_counts and "draws" not in v.path:
            np.testing.assert_array_equal(v.value, before[v.path], err_msg=v.path)


@every_case
def test_bad_numbers_never_reach_the_state(case):
    a = _trained(case)
    b = _copy(a)
    z = _z(12, seed=5)
    bad = z.copy()
    bad[3, 0], bad[7, 2], bad[9, 1] = np.nan, np.inf, -np.inf
    a(bad, training=True)
    b(z, mask=np.isfinite(bad).all(-1), training=True)
    _assert_same_state(a, b, rtol=1e-6, atol=1e-6)
    assert all(np.isfinite(v.value).all() for v in a.weights)
    assert ops.convert_to_numpy(a.encode(bad)).max() < a.num_codes
    a(np.full((5, 4), np.nan, "float32"), training=True)
    assert all(np.isfinite(v.value).all() for v in a.weights)


@every_case
def test_empty_batches_are_harmless(case):
    layer = _trained(case)
    before = layer.get_weights()
    for training in (True, False):
        assert tuple(layer(np.zeros((0, 3, 4), "float32"), training=training).shape) == (0, 3, 4)
        assert _loss(layer) == 0.0 or case == "lookup_free"
    for old, new in zip(before, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    codes = layer.encode(np.zeros((0, 3, 4), "float32"))
    assert tuple(codes.shape) == (0, *layer.code_shape((3, 4)))
    assert tuple(layer.decode(codes).shape) == (0, 3, 4)


@every_case
def test_wrong_inputs_name_the_layer_and_what_was_expected(case):
    layer = _make(case, name="quants")
    for shape in ((3, 5), (4,)):
        with pytest.raises(ValueError, match=r"'quants' received an input of shape \(.*\[batch, \*grid"):
            layer.encode(np.zeros(shape, "float32"))
    with pytest.raises(ValueError, match="'quants' received a mask of shape"):
        layer(_z(3, 2), mask=np.ones((3, 3), bool))
    books = (3, layer.num_codebooks) if layer.num_codebooks else (3,)
    with pytest.raises(ValueError, match=r"'quants' was given codes of type float32.*expected integers"):
        layer.decode(np.zeros(books, "float32"))
    for wrong in (-1, layer.num_codes):
        with pytest.raises(ValueError, match=rf"'quants'.* expected codes from 0 to {layer.num_codes - 1}"):
            layer.decode(np.full(books, wrong, "int32"))
    if layer.num_codebooks:
        with pytest.raises(ValueError, match=r"'quants'.*one code per codebook"):
            layer.decode(np.zeros((3, 9), "int32"))


def test_a_model_of_all_of_them_comes_back_from_a_keras_file(tmp_path):
    inputs = keras.Input((3, 4))
    model = keras.Model(inputs, [_make(case, name=case)(inputs) for case in CASES])
    model(_z(8, 3), training=True)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    for old, new in zip(model(_z(5, 3, seed=1)), loaded(_z(5, 3, seed=1)), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.skipif(not TENSORFLOW, reason="SavedModel is TensorFlow's")
def test_all_of_them_come_back_from_a_saved_model(tmp_path):
    import tensorflow as tf

    archive, layers = keras.export.ExportArchive(), {case: _trained(case) for case in CASES}
    for case, layer in layers.items():
        archive.track(layer)
        archive.add_endpoint(f"{case}_encode", layer.encode, [tf.TensorSpec((None, None, 4))])
        books = (layer.num_codebooks,) if layer.num_codebooks else ()
        archive.add_endpoint(f"{case}_decode", layer.decode, [tf.TensorSpec((None, None, *books), tf.int32)])
    archive.write_out(str(tmp_path / "all"), verbose=False)
    loaded, z = tf.saved_model.load(str(tmp_path / "all")), _z(5, 3, seed=1)
    for case, layer in layers.items():
        codes = getattr(loaded, f"{case}_encode")(z)
        np.testing.assert_array_equal(codes, layer.encode(z))
        np.testing.assert_array_equal(getattr(loaded, f"{case}_decode")(codes), layer(z))


@pytest.mark.skipif(not TENSORFLOW, reason="tf.distribute is TensorFlow's")
@every_case
def test_two_replicas_on_halves_are_one_on_the_whole(case):
    import tensorflow as tf

    # Collectives, the default, are numbered per strategy but compared per process: a second strategy's would clash.
    reduction = tf.distribute.ReductionToOneDevice()
    mirrored = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"], cross_device_ops=reduction)
    strategies = [tf.distribute.OneDeviceStrategy("CPU:0"), mirrored]
    runs = [_distributed_run(strategy, case, 100 if case in LONG else 20) for strategy in strategies]
    _assert_same_weights(*runs, rtol=1e-6, atol=1e-6)
    for variable in runs[1]:
        values = [v.numpy() for v in getattr(variable.value, "values", [variable.value])]
        for value in values[1:]:
            np.testing.assert_array_equal(values[0], value, err_msg=variable.path)


def _distributed_run(strategy, case, steps):
    """The weights after `steps` of SGD on data that moves away half-way, so that codes die and in time are revived."""
    import tensorflow as tf

    extra = {"revive_below": 0.3} if hasattr(_make(case), "revive_below") else {}
    keras.utils.set_random_seed(1)
    with strategy.scope():
        layer = _make(case, **extra)
        encoder = keras.layers.Dense(4, kernel_initializer="identity")
        layer.build((None, 4))
        encoder.build((None, 4))
        optimizer = keras.optimizers.SGD(0.05)
        variables = layer.trainable_variables + encoder.trainable_variables
        optimizer.build(variables)

    def step(x, mask):
        with tf.GradientTape() as tape:
            output = layer(encoder(x), mask=mask, training=True)
            replicas = tf.distribute.get_replica_context().num_replicas_in_sync
            loss = (sum(layer.losses) + tf.reduce_mean(tf.square(output - x))) / replicas
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))

    run = tf.function(lambda x, mask: strategy.run(step, args=(x, mask)), autograph=False)
    replicas = strategy.num_replicas_in_sync
    for number in range(steps):
        z = _z(16, 2, seed=number) + (number > steps // 2) * 4.0
        mask = np.random.default_rng(number).random((16, 2)) < 0.8
        parts = [
            strategy.experimental_distribute_values_from_function(
                lambda context, a=a: tf.constant(np.split(a, replicas)[context.replica_id_in_sync_group])
            )
            for a in (z, mask)
        ]
        run(*parts)
    return layer.weights + encoder.weights
