"""The next picture that is to be expected: begins as a camera's, learns towards the mean, knows the past only."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from vq_vae_tf.dynamics import Foresight
from vq_vae_tf.dynamics.foresight import FRAMES
from vq_vae_tf.dynamics.parallax import Parallax

CODES, GRID, SIDE, CONTEXT, ACTIONS, DEPTHS = 7, (5, 6), 2, 5, 3, 2


def _numpy(x):
    return ops.convert_to_numpy(x)


def camera(seed=0, frames=2, **changes):
    """A `Parallax` that moves, and was shown what codes look like."""
    keras.utils.set_random_seed(seed)
    parallax = Parallax(CODES, GRID, SIDE, CONTEXT, ACTIONS, DEPTHS, frames, **changes)
    parallax.build()
    grey = squares().astype(np.float32).reshape(CODES, -1)
    parallax.looks.assign((grey - grey.mean()) / grey.std())
    parallax.camera.step.kernel.assign(np.random.default_rng(seed).normal(0, 0.05, parallax.camera.step.kernel.shape))
    return parallax


def squares(seed=0):
    return np.random.default_rng(seed).integers(0, 256, (CODES, SIDE, SIDE, 3))


def model(seed=0, mended=False, **changes):
    keras.utils.set_random_seed(seed)
    settings = {"num_codes": CODES, "grid": GRID, "side": SIDE, "context": CONTEXT, "num_actions": ACTIONS}
    parallax = Parallax(**settings | {"depths": DEPTHS, "frames": FRAMES} | changes, name="parallax")
    made = Foresight(parallax, features=8, num_layers=2)
    made.build()
    if not changes:
        made.show(squares(), camera().get_weights())
    if mended:
        made.mend.kernel.assign(np.random.default_rng(1).normal(0, 0.3, made.mend.kernel.shape))
    return made


def inputs(seed=0, batch=3):
    random = np.random.default_rng(seed)
    return {
        "past": random.integers(0, CODES, (batch, CONTEXT, *GRID)).astype(np.int32),
        "actions": random.integers(0, ACTIONS, (batch, CONTEXT)).astype(np.int32),
        "codes": random.integers(0, CODES, (batch, *GRID)).astype(np.int32),
    }


def pictures(codes):
    """Codes as pictures in grey levels: NumPy's own way of laying squares side by side."""
    rows = squares()[codes].transpose(0, 1, 3, 2, 4, 5)
    return rows.reshape(len(codes), GRID[0] * SIDE, GRID[1] * SIDE, 3).astype(np.float32)


def test_it_begins_with_what_the_camera_foresees():
    given, seen = inputs(), camera()
    newest = np.stack([pictures(given["past"][:, -1 - i]) for i in range(2)], axis=1)
    grey = squares().astype(np.float32)
    looks = (newest - grey.mean()) / grey.std()
    foreseen = _numpy(seen.foresee(looks, given["actions"])[0]) * grey.std() + grey.mean()
    np.testing.assert_allclose(_numpy(model()(given)), foreseen, atol=0.02)
    assert np.abs(_numpy(model(mended=True)(given)) - foreseen).max() > 1


def test_older_frames_are_read_at_the_depths_on_which_the_last_two_agree():
    given, two, four = inputs(), camera(), camera(frames=4)
    four.set_weights(two.get_weights())
    looks = np.random.default_rng(0).normal(size=(3, 4, 10, 12, 3)).astype(np.float32)
    for a, b in zip(two.foresee(looks[:, :2], given["actions"]), four.foresee(looks, given["actions"]), strict=True):
        np.testing.assert_allclose(_numpy(a), _numpy(b), atol=1e-5)


def test_it_learns_by_squared_error_to_pictures_of_the_next_codes():
    made, given = model(mended=True), inputs()
    grey = squares().astype(np.float32)
    error = np.mean(np.square(_numpy(made(given)) - pictures(given["codes"])))
    terms = {name: float(value) for name, value in made.loss_terms(given).items()}
    assert terms["error"] == pytest.approx(error, rel=1e-3)
    assert terms["loss"] == pytest.approx(error / grey.var(), rel=1e-3)


def test_it_learns_what_no_camera_sees():
    """Codes that go round: each is followed by the next one, two further by one of the actions."""
    made, random = model(), np.random.default_rng(0)
    first, actions = random.integers(0, CODES, (64, *GRID)), random.integers(0, ACTIONS, (64, CONTEXT))
    frames = [first]
    for t in range(CONTEXT):
        frames.append((frames[-1] + 1 + (actions[:, t] == 1)[:, None, None]) % CODES)
    past = np.stack(frames[:-1], 1).astype(np.int32)
    given = {"past": past, "actions": actions.astype(np.int32), "codes": frames[-1].astype(np.int32)}
    before = float(made.loss_terms(given)["loss"])
    frozen = [w.copy() for w in made.parallax.get_weights()]
    made.compile(keras.optimizers.Adam(1e-2), jit_compile=False)
    made.fit(given, epochs=40, batch_size=16, verbose=0)
    assert float(made.loss_terms(given)["loss"]) < 0.2 * before
    for a, b in zip(made.parallax.get_weights(), frozen, strict=True):
        np.testing.assert_array_equal(a, b)
    other = {**given, "actions": np.where(np.arange(CONTEXT) == CONTEXT - 1, 1, actions).astype(np.int32)}
    told = np.abs(_numpy(made(other)) - _numpy(made(given))).max((1, 2, 3)) > 5
    np.testing.assert_array_equal(told, actions[:, -1] != 1)


def test_it_knows_the_past_and_the_actions_and_not_the_frame_itself():
    made, given = model(mended=True), inputs()
    expected = _numpy(made(given))
    np.testing.assert_array_equal(_numpy(made({**given, "codes": (given["codes"] + 1) % CODES})), expected)
    for back in range(1, CONTEXT + 1):
        past, actions = given["past"].copy(), given["actions"].copy()
        past[:, -back] = (past[:, -back] + 1) % CODES
        moved = np.abs(_numpy(made({**given, "past": past})) - expected).max()
        assert (moved > 1e-3) == (back <= 4), back
        actions[:, -back] = (actions[:, -back] + 1) % ACTIONS
        assert np.abs(_numpy(made({**given, "actions": actions})) - expected).max() > 1e-3, back


def test_when_an_action_was_taken_is_known_without_the_camera_too():
    made, given = model(mended=True), inputs()
    made.parallax.camera.step.kernel.assign(np.zeros(made.parallax.camera.step.kernel.shape))
    given["actions"] = np.tile(np.array([0, 1, 2, 0, 1], np.int32), (3, 1))
    other = {**given, "actions": np.ascontiguousarray(given["actions"][:, ::-1])}
    assert np.abs(_numpy(made(other)) - _numpy(made(given))).max() > 1e-2


def test_without_actions_none_are_asked_for():
    made, given = model(num_actions=0), inputs()
    other = {**given, "actions": (given["actions"] + 1) % ACTIONS}
    np.testing.assert_array_equal(_numpy(made(other)), _numpy(made(given)))
    np.testing.assert_array_equal(_numpy(made({"past": given["past"]})), _numpy(made(given)))


def test_config_and_weights_make_the_same_model():
    made = model(mended=True)
    again = Foresight.from_config(made.get_config())
    again.build()
    again.set_weights(made.get_weights())
    np.testing.assert_array_equal(_numpy(again(inputs())), _numpy(made(inputs())))
