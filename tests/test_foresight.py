"""The next picture that is to be expected: begins as a camera's, learns towards the mean, knows the past only."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from vq_vae_tf.dynamics import Foresight
from vq_vae_tf.dynamics.foresight import FRAMES
from vq_vae_tf.dynamics.parallax import Parallax, mixed

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
    made = Foresight(parallax, features=8)
    made.build()
    if not changes:
        made.show(squares(), camera().get_weights())
    if mended:
        random = np.random.default_rng(1)
        for told in (made.mend, made.likely, made.unusual):
            told.kernel.assign(random.normal(0, 0.3, told.kernel.shape))
    return made


def inputs(seed=0, batch=3, known=1):
    """Frames that are what codes are not, so that it is seen which of them are read."""
    random, size = np.random.default_rng(seed), (GRID[0] * SIDE, GRID[1] * SIDE, 3)
    return {
        "frames": random.integers(0, 256, (batch, FRAMES, *size)).astype(np.uint8),
        "known": np.full((batch, FRAMES), known, np.int32),
        "past": random.integers(0, CODES, (batch, CONTEXT, *GRID)).astype(np.int32),
        "actions": random.integers(0, ACTIONS, (batch, CONTEXT)).astype(np.int32),
        "x": random.integers(0, 256, (batch, *size)).astype(np.uint8),
    }


def pictures(codes):
    """Codes as pictures in grey levels: NumPy's own way of laying squares side by side."""
    rows = squares()[codes].transpose(0, 1, 3, 2, 4, 5)
    return rows.reshape(len(codes), GRID[0] * SIDE, GRID[1] * SIDE, 3).astype(np.float32)


def test_it_begins_with_what_the_camera_foresees_of_frames_or_where_none_is_known_of_their_codes():
    seen, grey = camera(), squares().astype(np.float32)
    for known in (1, 0):
        given, made = inputs(known=known), model()
        frames = [given["frames"][:, -1 - i] if known else pictures(given["past"][:, -1 - i]) for i in range(FRAMES)]
        looks = (np.stack(frames, axis=1).astype(np.float32) - grey.mean()) / grey.std()
        read = camera(frames=FRAMES)
        read.set_weights(seen.get_weights())
        swept = read.swept([looks[:, i] for i in range(FRAMES)], given["actions"])
        foreseen, shown = (_numpy(mixed(part, swept[3])) for part in (swept[0], swept[1][..., None]))
        trust = np.exp(-3.0 * np.arange(FRAMES)[:, None, None, None] + 4.0 * (shown - 1.0))
        expected = (foreseen * trust).sum(1) / trust.sum(1) * grey.std() + grey.mean()
        np.testing.assert_allclose(_numpy(made(given)), expected, atol=0.02)
        assert np.abs(_numpy(model(mended=True)(given)) - expected).max() > 1


def test_a_frame_that_is_not_known_is_not_seen_and_codes_of_those_known_are_not():
    made, random = model(mended=True), np.random.default_rng(3)
    for known in ((0, 1, 1, 0), (1, 0, 0, 1)):
        given = inputs() | {"known": np.tile(np.array(known, np.int32), (3, 1))}
        before, hidden = _numpy(made(given)), np.array(known) == 0
        for i in range(FRAMES):
            frames, past = given["frames"].copy(), given["past"].copy()
            frames[:, i] = random.integers(0, 256, frames[:, i].shape)
            past[:, CONTEXT - FRAMES + i] = (past[:, CONTEXT - FRAMES + i] + 1) % CODES
            moved = [
                np.abs(_numpy(made({**given, **part})) - before).max() > 1e-2
                for part in ({"frames": frames}, {"past": past})
            ]
            assert moved == [not hidden[i], hidden[i]], (known, i)


def test_older_frames_are_read_at_the_depths_on_which_the_last_two_agree():
    given, two, four = inputs(), camera(), camera(frames=4)
    four.set_weights(two.get_weights())
    looks = np.random.default_rng(0).normal(size=(3, 4, 10, 12, 3)).astype(np.float32)
    for a, b in zip(two.foresee(looks[:, :2], given["actions"]), four.foresee(looks, given["actions"]), strict=True):
        np.testing.assert_allclose(_numpy(a), _numpy(b), atol=1e-5)


def test_it_learns_by_squared_error_to_the_next_frame_some_of_it_before_mending():
    made, given = model(mended=True), inputs()
    grey, truth = squares().astype(np.float32), inputs()["x"].astype(np.float32)
    error = np.mean(np.square(_numpy(made(given)) - truth))
    terms = {name: float(value) for name, value in made.loss_terms(given).items()}
    assert terms["error"] == pytest.approx(error, rel=1e-3)
    made.mend.kernel.assign(np.zeros(made.mend.kernel.shape))
    moved = np.mean(np.square(_numpy(made(given)) - truth))
    assert moved != pytest.approx(error, rel=1e-2)
    assert terms["loss"] == pytest.approx((error + 0.25 * moved) / grey.var(), rel=1e-3)


def test_it_learns_what_no_camera_sees():
    """Frames that go round: each is followed by a lighter one, twice so by one of the actions."""
    made, random = model(), np.random.default_rng(0)
    first, actions = random.integers(0, 8, (64, *GRID)), random.integers(0, ACTIONS, (64, CONTEXT))
    frames = [first]
    for t in range(CONTEXT):
        frames.append((frames[-1] + 1 + (actions[:, t] == 1)[:, None, None]) % 8)
    films = np.stack(frames, 1).repeat(SIDE, 2).repeat(SIDE, 3)[..., None].repeat(3, -1) * 32
    given = inputs(batch=64) | {
        "frames": films[:, CONTEXT - FRAMES : CONTEXT].astype(np.uint8),
        "actions": actions.astype(np.int32),
        "x": films[:, CONTEXT].astype(np.uint8),
    }
    before = float(made.loss_terms(given)["error"])
    frozen = [w.copy() for w in made.parallax.get_weights()]
    made.compile(keras.optimizers.Adam(1e-2), jit_compile=False)
    made.fit(given, epochs=40, batch_size=16, verbose=0)
    assert float(made.loss_terms(given)["error"]) < 0.2 * before
    for a, b in zip(made.parallax.get_weights(), frozen, strict=True):
        np.testing.assert_array_equal(a, b)
    other = {**given, "actions": np.where(np.arange(CONTEXT) == CONTEXT - 1, 1, actions).astype(np.int32)}
    told = np.abs(_numpy(made(other)) - _numpy(made(given))).max((1, 2, 3)) > 5
    np.testing.assert_array_equal(told, actions[:, -1] != 1)


def test_it_knows_the_past_and_the_actions_and_not_the_frame_itself():
    made, given = model(mended=True), inputs(known=0)
    expected = _numpy(made(given))
    np.testing.assert_array_equal(_numpy(made({**given, "x": 255 - given["x"]})), expected)
    for back in range(1, CONTEXT + 1):
        past, actions = given["past"].copy(), given["actions"].copy()
        past[:, -back] = (past[:, -back] + 1) % CODES
        moved = np.abs(_numpy(made({**given, "past": past})) - expected).max()
        assert (moved > 1e-3) == (back <= FRAMES), back
        actions[:, -back] = (actions[:, -back] + 1) % ACTIONS
        assert np.abs(_numpy(made({**given, "actions": actions})) - expected).max() > 1e-3, back


def test_how_a_step_was_unusual_and_which_depth_is_likely_say_where_frames_are_read_again():
    """Each in its own way: a camera that turned further, a plane, a frame; the picture is the mix of what is read."""
    given, grey = inputs(), squares().astype(np.float32)
    looks = (given["frames"][:, ::-1].astype(np.float32) - grey.mean()) / grey.std()
    read = camera(frames=FRAMES)
    read.set_weights(camera().get_weights())
    unusual = np.random.default_rng(4).normal(0, 1, (FRAMES, 5)).astype(np.float32)
    planes = np.array([0.3, -0.2, 0.9], np.float32)
    trust = np.array([-2.0, 1.0, 0.5, 0.2], np.float32)
    made = model()
    made.unusual.bias.assign(unusual.reshape(-1))
    made.likely.bias.assign(np.tile(np.concatenate([planes, trust]), SIDE**2))
    told = unusual * [0.1, 0.3, 0.5, 0.3, 0.03]
    swept = read.swept(
        [looks[:, i] for i in range(FRAMES)],
        given["actions"],
        unusual=np.tile(told.astype(np.float32), (3, 1, 1)),
        known=planes[:, None, None],
    )
    foreseen, shown = (_numpy(mixed(part, swept[3])) for part in (swept[0], swept[1][..., None]))
    weights = np.exp((trust - 3.0 * np.arange(FRAMES))[:, None, None, None] + 4.0 * (shown - 1.0))
    expected = (foreseen * weights).sum(1) / weights.sum(1) * grey.std() + grey.mean()
    np.testing.assert_allclose(_numpy(made(given)), expected, atol=0.05)


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
    without = {name: value for name, value in given.items() if name != "actions"}
    np.testing.assert_array_equal(_numpy(made(without)), _numpy(made(given)))


def test_config_and_weights_make_the_same_model():
    made = model(mended=True)
    again = Foresight.from_config(made.get_config())
    again.build()
    again.set_weights(made.get_weights())
    np.testing.assert_array_equal(_numpy(again(inputs())), _numpy(made(inputs())))
