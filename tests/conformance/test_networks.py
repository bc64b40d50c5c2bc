"""What every registered autoregressive network promises."""

from __future__ import annotations

import functools
import itertools

import keras
import numpy as np
import pytest
from keras import ops

from vq_vae_tf.autoregressive import NETWORKS as REGISTERED
from vq_vae_tf.autoregressive import LocalPixelCNN, sample, sample_naive
from vq_vae_tf.autoregressive.differences import LevelEmbedding

K = 5
# Over levels only, so not priors one can ask for by name.
NETWORKS = {**REGISTERED, "local": LocalPixelCNN, "local that talks": LocalPixelCNN}
SMALL = {
    "pixelcnn": {"num_layers": 3},
    "wavenet": {"num_layers": 5, "dilation_cycle": 3, "skip_features": 16},
    "transformer": {"num_layers": 2, "num_heads": 2},
    "local": {"num_layers": 2, "logistics": 2},  # its reach covers the grids below
    "local that talks": {"num_layers": 2, "logistics": 2, "messages": 3},
}
SHAPES = {
    "grid": {"symbol_shape": (3, 4)},
    "channels": {"symbol_shape": (3, 2, 2), "num_channels": 2},
    "vectors": {"symbol_shape": (3, 2, 2), "num_channels": 2, "vector_dim": 2},
    "conditioned": {"symbol_shape": (2, 3, 2), "num_channels": 2, "num_labels": 3, "condition_features": 2},
}
CASES = [
    case
    for case in itertools.product(sorted(NETWORKS), SHAPES)
    if not (case[0].startswith("local") and case[1] == "vectors")
]
each_case = pytest.mark.parametrize(("name", "shape"), CASES)
each_network = pytest.mark.parametrize("name", sorted(NETWORKS))


@functools.cache
def _make(name, shape="grid", **changes):
    keras.utils.set_random_seed(1)
    # The head and the skips are wide enough that no position is left with dead rectifiers only.
    arguments = {"num_symbols": K, "features": 8, "head_features": 32, **SMALL[name], **SHAPES[shape], **changes}
    network = NETWORKS[name](**arguments)
    network.build()
    for weight in network.trainable_weights:  # so that no bias and no norm is at its neutral start
        weight.assign(weight + 0.1 * keras.random.normal(weight.shape, dtype=weight.dtype))
    if network.vector_dim:
        network.show(*_vectors(network.channels, network.vector_dim))
    return network


def _vectors(channels, dim):
    rng = np.random.default_rng(0)
    return rng.normal(size=(channels, K, dim)), rng.integers(0, 9, (channels, K))


def _condition(network, batch, seed=0):
    rng = np.random.default_rng(seed)
    condition = {}
    if network.num_labels:
        condition["label"] = rng.integers(0, network.num_labels, batch).astype(np.int32)
    if network.condition_features:
        shape = (batch, *network.grid, network.condition_features)
        condition["map"] = rng.normal(size=shape).astype(np.float32)
    return condition


def _symbols(network, batch, seed=0):
    shape = (batch, *network.symbol_shape)
    return np.random.default_rng(seed).integers(0, network.num_symbols, shape).astype(np.int32)


@each_case
def test_every_weight_has_a_name_of_its_own_by_which_an_export_tells_it_apart(name, shape):
    paths = [weight.path for weight in _make(name, shape).weights]
    assert len(set(paths)) == len(paths)


def _compiled(function, xla=False):
    if keras.backend.backend() == "jax":
        import jax

        return jax.jit(function)
    import tensorflow as tf

    return tf.function(function, jit_compile=xla, autograph=False)


def _gradient(function, x):
    if keras.backend.backend() == "jax":
        import jax

        return np.asarray(jax.jit(jax.grad(function))(x))
    import tensorflow as tf

    x = tf.convert_to_tensor(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = function(x)
    return tape.gradient(value, x).numpy()


def _influence(network, condition, wrt="symbols"):
    """`[positions, inputs]`: the size of the gradient of the logits at a position with respect to an input.

    The batch holds one copy of the example for each position, so one backward pass gives every row.
    """
    n = network.num_positions
    weights = np.random.default_rng(2).normal(size=(n, n, network.num_symbols)) * np.eye(n)[:, :, None]
    condition = {key: np.repeat(value, n, axis=0) for key, value in condition.items()}
    embedded = ops.convert_to_numpy(network.embed(np.repeat(_symbols(network, 1), n, axis=0)))

    def pick(value):
        if wrt == "symbols":
            logits = network.predict(value, condition)
        else:
            logits = network.predict(embedded, {**condition, "map": value})
        return ops.sum(ops.reshape(logits, (n, n, -1)) * weights.astype(np.float32))

    if wrt == "symbols":
        return np.abs(_gradient(pick, embedded)).reshape(n, n, -1).max(-1)
    return np.abs(_gradient(pick, condition["map"])).reshape(n, network.num_sites, -1).max(-1)


def _steps(network, symbols, condition):
    """Logits `[positions, batch, K]` by `step`."""
    step = _compiled(network.step)
    cache, previous = network.init_cache(len(symbols), condition), np.full(len(symbols), 3, np.int32)
    logits = []
    for position, symbol in enumerate(symbols.reshape(len(symbols), -1).T):
        now, cache = step(previous, cache, ops.convert_to_tensor(position, dtype="int32"))
        logits.append(ops.convert_to_numpy(now))
        previous = symbol
    return np.stack(logits)


@each_case
def test_no_gradient_from_the_present_and_future_and_some_from_all_of_the_past(name, shape):
    network = _make(name, shape)
    influence = _influence(network, _condition(network, 1))
    past = np.tri(network.num_positions, k=-1, dtype=bool)
    assert (influence[~past] == 0).all()
    assert (influence[past] > 0).all()


@each_network
def test_the_map_at_a_site_reaches_the_logits_there(name):
    network = _make(name, "conditioned")
    influence = _influence(network, _condition(network, 1), wrt="map")
    sites = np.arange(network.num_positions) // network.channels
    assert (influence[np.arange(network.num_positions), sites] > 0).all()


@each_network
def test_the_label_reaches_every_logit(name):
    network = _make(name, "conditioned")
    condition, symbols = _condition(network, 1), _symbols(network, 1)
    logits = [network(symbols, {**condition, "label": np.array([label], np.int32)}) for label in (0, 1)]
    difference = np.abs(ops.convert_to_numpy(logits[0] - logits[1])).max(-1)
    assert (difference > 1e-6).all()


@each_case
def test_step_equals_the_full_pass_at_every_position(name, shape):
    network = _make(name, shape)
    condition, symbols = _condition(network, 2), _symbols(network, 2)
    full = ops.convert_to_numpy(network(symbols, condition)).reshape(2, -1, K).swapaxes(0, 1)
    assert full.std() > 0.1
    np.testing.assert_allclose(_steps(network, symbols, condition), full, atol=1e-4, rtol=0)


@each_network
def test_the_same_seed_gives_the_same_sample_cached_naive_and_under_xla(name):
    network = _make(name, "conditioned")
    condition = _condition(network, 3)
    cached = ops.convert_to_numpy(_compiled(lambda: sample(network, 3, 7, condition, 0.8))())
    naive = ops.convert_to_numpy(_compiled(lambda: sample_naive(network, 3, 7, condition, 0.8))())
    tensors = _compiled(lambda seed, temperature: sample(network, 3, seed, condition, temperature), xla=True)
    seed, temperature = ops.convert_to_tensor(7, dtype="int32"), ops.convert_to_tensor(0.8, dtype="float32")
    np.testing.assert_array_equal(cached, naive)
    np.testing.assert_array_equal(cached, ops.convert_to_numpy(tensors(seed, temperature)))
    other = ops.convert_to_numpy(tensors(seed + 1, temperature))
    assert cached.shape == (3, *network.symbol_shape)
    assert (cached != other).any()
    assert len({row.tobytes() for row in cached}) == 3


@each_network
def test_probabilities_of_all_sequences_sum_to_one(name):
    network = _make(name, symbol_shape=(2, 1, 2), num_channels=2, num_symbols=3)
    sequences = np.array(list(itertools.product(range(3), repeat=4)), np.int32).reshape(-1, 2, 1, 2)
    nats = ops.sparse_categorical_crossentropy(sequences, network(sequences), from_logits=True)
    chances = np.exp(-ops.convert_to_numpy(nats).reshape(81, 4).sum(-1, dtype=np.float64))
    assert chances.sum() == pytest.approx(1.0, abs=1e-5)
    assert chances.max() > 2 / 81


@each_case
def test_every_weight_gets_a_gradient(name, shape):
    if keras.backend.backend() != "tensorflow":
        pytest.skip("one backend shows it")
    import tensorflow as tf

    network = _make(name, shape)
    with tf.GradientTape() as tape:
        loss = ops.mean(ops.square(network(_symbols(network, 4), _condition(network, 4))))
    gradients = tape.gradient(loss, network.trainable_variables)
    unused = [w.path for w, g in zip(network.trainable_variables, gradients, strict=True) if g is None]
    assert unused == []


@each_network
def test_config_round_trip_gives_the_same_network(name):
    network = _make(name, "conditioned", dropout=0.25)
    twin = NETWORKS[name].from_config(network.get_config())
    assert twin.get_config() == network.get_config()
    twin.build()
    twin.set_weights(network.get_weights())
    symbols, condition = _symbols(network, 2), _condition(network, 2)
    np.testing.assert_array_equal(*[ops.convert_to_numpy(n(symbols, condition)) for n in (network, twin)])


@each_network
def test_bfloat16_inside_float32_logits_outside(name):
    network = _make(name, "conditioned", dtype="mixed_bfloat16")
    condition, symbols = _condition(network, 2), _symbols(network, 2)
    full = ops.convert_to_numpy(network(symbols, condition)).reshape(2, -1, K).swapaxes(0, 1)
    assert full.dtype == np.float32
    np.testing.assert_allclose(_steps(network, symbols, condition), full, atol=0.1, rtol=0)
    inside = [layer for layer in network._flatten_layers() if not isinstance(layer, LevelEmbedding)]  # levels: exact
    assert {layer.compute_dtype for layer in inside} == {"bfloat16"}
    drawn = ops.convert_to_numpy(_compiled(lambda: sample(network, 2, 0, condition))())
    assert drawn.max() < K


@each_network
def test_dropout_acts_in_training_only(name):
    network = _make(name, dropout=0.5)
    symbols = _symbols(network, 2)
    quiet = [ops.convert_to_numpy(network(symbols, training=False)) for _ in range(2)]
    loud = [ops.convert_to_numpy(network(symbols, training=True)) for _ in range(2)]
    np.testing.assert_array_equal(*quiet)
    assert np.abs(loud[0] - loud[1]).max() > 1e-3


@each_network
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": np.array([0, 3], np.int32)}, "label 3 is out of range; expected 0..2"),
        ({"label": np.array([-1, 0], np.int32)}, "label -1 is out of range"),
        ({"label": None}, "no condition\\['label'\\] given"),
        ({"map": np.zeros((2, 3, 2, 2), np.float32)}, "condition\\['map'\\] of shape"),
    ],
)
def test_a_wrong_condition_is_named(name, change, message):
    network = _make(name, "conditioned")
    condition = {**_condition(network, 2), **change}
    with pytest.raises(ValueError, match=message):
        network.init_cache(2, condition)
    with pytest.raises(ValueError, match=message):
        network(_symbols(network, 2), condition)


@each_network
def test_wrong_sizes_are_named(name):
    with pytest.raises(ValueError, match="num_channels=3 but symbol_shape=\\(2, 3, 2\\)"):
        _make(name, "conditioned", num_channels=3)
    with pytest.raises(ValueError, match="symbols of shape \\(2, 4, 3\\) given; expected"):
        _make(name)(np.zeros((2, 4, 3), np.int32))
