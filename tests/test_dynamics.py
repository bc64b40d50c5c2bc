"""The next frame given past frames and an action."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from vq_vae_tf.autoregressive import GatedPixelCNN, sample_naive
from vq_vae_tf.dynamics import FRAME_SEED, Dynamics, Motion, PastEncoder
from vq_vae_tf.modalities.image.fold import fold, unfold

K, GRID, CONTEXT = 3, (2, 3), 2


def _dynamics(actions=2, shake=0.3, **changes):
    keras.utils.set_random_seed(0)
    sizes = {"num_codes": K, "grid": GRID, "context": CONTEXT, "num_actions": actions, "features": 8, "num_layers": 2}
    network = GatedPixelCNN(K, GRID, condition_features=8, features=8, num_layers=1, head_features=16)
    model = Dynamics(network, PastEncoder(**sizes | changes))
    model.build()
    for weight in model.trainable_weights:
        weight.assign(weight + shake * keras.random.normal(weight.shape, dtype=weight.dtype))
    return model


def _codes(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, K, (*shape, *GRID)).astype(np.int32)


def _given(batch):
    actions = np.stack([np.arange(batch) % 2, np.arange(batch) // 2 % 2], axis=1)
    return {"past": _codes(batch, CONTEXT, seed=1), "actions": actions.astype(np.int32)}


def _numpy(x):
    return ops.convert_to_numpy(x)


def test_log_prob_is_the_networks_under_the_map_of_the_past():
    model, codes, given = _dynamics(), _codes(3), _given(3)
    logits = model.network(codes, {"map": model.past(given["past"], given["actions"])})
    expected = -_numpy(ops.sparse_categorical_crossentropy(codes, logits, from_logits=True)).sum((1, 2))
    np.testing.assert_allclose(_numpy(model.log_prob(codes, given)), expected, rtol=1e-5)
    terms = model.loss_terms({"codes": codes, **given})
    np.testing.assert_allclose(_numpy(terms["loss"]), -expected.mean() / 6, rtol=1e-5)


def test_every_past_frame_and_action_counts_and_a_frame_is_known_by_its_place():
    model, codes, given = _dynamics(), _codes(1), _given(1)
    base = _numpy(model.log_prob(codes, given))
    for frame in range(CONTEXT):
        past = given["past"].copy()
        past[0, frame, 0, 0] = (past[0, frame, 0, 0] + 1) % K
        assert abs(_numpy(model.log_prob(codes, {**given, "past": past})) - base) > 1e-4
    for step in range(CONTEXT):
        actions = given["actions"].copy()
        actions[0, step] = 1 - actions[0, step]
        assert abs(_numpy(model.log_prob(codes, {**given, "actions": actions})) - base) > 1e-4
    assert abs(_numpy(model.log_prob(codes, {**given, "past": given["past"][:, ::-1]})) - base) > 1e-4


def test_a_rollout_draws_frame_by_frame_and_shifts_them_into_the_past():
    model, past = _dynamics(), _codes(2, CONTEXT, seed=1)
    actions = np.array([[0, 0, 1, 1], [1, 1, 0, 1]], np.int32)
    expected, seen = [], past
    for i in range(3):
        condition = model.seen({"past": seen, "actions": actions[:, i : i + CONTEXT]})
        now = _numpy(sample_naive(model.network, 2, 5 + i * FRAME_SEED, condition, 0.9))
        expected.append(now)
        seen = np.concatenate([seen[:, 1:], now[:, None]], axis=1)
    drawn = _numpy(model.rollout(past, actions, 5, 0.9))
    np.testing.assert_array_equal(drawn, np.stack(expected, axis=1))
    assert len({frame.tobytes() for frame in drawn.reshape(6, -1)}) > 1


def test_it_learns_a_world_that_moves_as_the_action_says():
    """Frames shift left or right by one with wrap-around: after learning, what an action gives is certain."""
    model, random = _dynamics(shake=0.0), np.random.default_rng(0)

    def batch(count, seed):
        past = _codes(count, CONTEXT, seed=seed)
        action = random.integers(0, 2, count).astype(np.int32)
        codes = np.stack([np.roll(p[-1], 1 if a else -1, axis=1) for p, a in zip(past, action, strict=True)])
        before = random.integers(0, 2, count).astype(np.int32)
        return {"codes": codes, "past": past, "actions": np.stack([before, action], axis=1)}

    schedule = keras.optimizers.schedules.CosineDecay(1e-2, 6 * 4096 // 64)
    model.compile(keras.optimizers.Adam(schedule), jit_compile=False)
    model.fit(batch(4096, 1), batch_size=64, epochs=6, verbose=0)
    test = batch(64, 2)
    given = {name: test[name] for name in ("past", "actions")}
    assert np.median(_numpy(model.bits_per_code(test["codes"], given))) < 0.1
    wrong = {**given, "actions": 1 - given["actions"]}
    assert _numpy(model.bits_per_code(test["codes"], wrong)).mean() > 1.0
    drawn = _numpy(model.rollout(test["past"], np.stack([given["actions"][:, 1]] * 4, axis=1), 0))
    assert (drawn[:, 2] == test["past"][:, -1]).mean() > 0.9  # three steps of three columns come round


def test_without_actions_only_their_number_counts():
    model, past = _dynamics(actions=0), _codes(1, CONTEXT)
    drawn = _numpy(model.rollout(past, np.zeros((1, 3), np.int32), 3))
    np.testing.assert_array_equal(drawn, _numpy(model.rollout(past, np.ones((1, 3), np.int32), 3)))
    assert drawn.shape == (1, 2, *GRID)


def test_keras_file_round_trip(tmp_path):
    model, codes, given = _dynamics(), _codes(2), _given(2)
    model.save(tmp_path / "dynamics.keras")
    loaded = keras.saving.load_model(tmp_path / "dynamics.keras")
    assert isinstance(loaded, Dynamics)
    np.testing.assert_array_equal(_numpy(loaded.log_prob(codes, given)), _numpy(model.log_prob(codes, given)))


def test_what_does_not_fit_is_named():
    model, codes, given = _dynamics(), _codes(2), _given(2)
    with pytest.raises(ValueError, match=r"past codes of shape \(2, 1, 2, 3\) given; expected \[batch, \(2, 2, 3\)\]"):
        model.log_prob(codes, {**given, "past": given["past"][:, :1]})
    with pytest.raises(ValueError, match=r"actions of shape None given; expected int32 \[batch, 2\]"):
        model.log_prob(codes, {"past": given["past"]})
    with pytest.raises(ValueError, match=r"actions of shape \(2, 1\) given"):
        model.log_prob(codes, {**given, "actions": given["actions"][:, :1]})
    with pytest.raises(ValueError, match=r"actions in 0\.\.2 given; expected 0\.\.1"):
        model.log_prob(codes, {**given, "actions": np.array([[0, 2], [0, 0]])})
    with pytest.raises(ValueError, match="1 actions given; expected at least 2"):
        model.rollout(given["past"], given["actions"][:, :1], 0)
    with pytest.raises(ValueError, match="2 pasts and actions of 1; expected as many"):
        model.rollout(given["past"], given["actions"][:1], 0)
    with pytest.raises(ValueError, match="expected the same number of codes, grid and features"):
        _dynamics(features=4)


def test_motion_moves_frames_as_far_as_it_is_told():
    """With narrow widths and whole displacements, motion is a shift that stops at the border."""
    motion = Motion((2, 5), frames=1, heads=2)
    motion.build((None, 1, 2, 5, 1), (None, 3))
    guess = np.zeros((1, 2, 2 + 5 + 2), np.float32)
    guess[..., 2:7] = np.array([[0], [2]])  # head 0 reads where it stands, head 1 two columns to the right
    guess[..., 7:] = 6.0
    motion.guess.kernel.assign(np.zeros(motion.guess.kernel.shape))
    motion.guess.bias.assign(guess.reshape(-1))
    frames = np.random.default_rng(0).normal(size=(1, 1, 2, 5, 1)).astype(np.float32)
    moved = _numpy(motion(frames, np.ones((1, 3), np.float32)))
    np.testing.assert_allclose(moved[..., 0], frames[:, 0, ..., 0], atol=1e-5)
    np.testing.assert_allclose(moved[..., 1], frames[:, 0, :, [2, 3, 4, 4, 4], 0].transpose(1, 2, 0), atol=1e-5)


def test_motion_moves_the_places_inside_a_site():
    """A site is a square of 2 x 2 places: half a site to the right and one and a half down are whole places."""
    motion = Motion((3, 2), frames=1, heads=2, side=2)
    motion.build((None, 1, 3, 2, 8), (None, 3))
    guess = np.zeros((1, 2, 6 + 4 + 2), np.float32)
    guess[..., :6] = np.array([[0.0], [1.5]])  # sites down: head 1 reads three places below
    guess[..., 6:10] = np.array([[0.5], [0.0]])  # sites right: head 0 reads the next place
    guess[..., 10:] = 8.0
    motion.guess.kernel.assign(np.zeros(motion.guess.kernel.shape))
    motion.guess.bias.assign(guess.reshape(-1))
    picture = np.random.default_rng(0).normal(size=(1, 6, 4, 2)).astype(np.float32)
    moved = _numpy(unfold(motion(fold(picture, 2)[:, None], np.ones((1, 3), np.float32)), 2))
    np.testing.assert_allclose(moved[..., :2], picture[:, :, [1, 2, 3, 3]], atol=1e-5)
    np.testing.assert_allclose(moved[..., 2:], picture[:, [3, 4, 5, 5, 5, 5]], atol=1e-5)


def test_the_past_is_shown_what_codes_look_like():
    past = PastEncoder(4, (2, 2), 2, 0, features=6, num_layers=1, motion_heads=1, motion_features=12, motion_side=2)
    past.build()
    squares = np.random.default_rng(0).integers(0, 256, (4, 2, 2, 3)).astype(np.uint8)
    past.show(squares)
    table = _numpy(past.motion[0].embeddings)
    assert table.mean() == pytest.approx(0, abs=1e-5)
    assert table.std() == pytest.approx(1, rel=1e-4)
    assert np.corrcoef(table.ravel(), squares.ravel().astype(np.float64))[0, 1] == pytest.approx(1, abs=1e-6)
    with pytest.raises(ValueError, match=r"squares of shape \(4, 1, 1, 12\); expected \(4, 2, 2, 3\)"):
        past.show(squares.reshape(4, 1, 1, 12))
    still = PastEncoder(4, (2, 2), 2, 0, features=6, num_layers=1, motion_heads=0, motion_features=12, motion_side=2)
    with pytest.raises(ValueError, match="and motion"):
        still.show(squares)
    with pytest.raises(ValueError, match=r"motion_features=32 is no multiple of motion_side\^2=9"):
        PastEncoder(4, (2, 2), 2, 0, features=6, num_layers=1, motion_side=3)
