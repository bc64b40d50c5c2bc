"""A camera that turns and walks, what it has seen before of what it sees next, and how it is learned."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from vq_vae_tf.dynamics import PastEncoder, learn_camera
from vq_vae_tf.dynamics.camera import Camera
from vq_vae_tf.dynamics.parallax import Parallax
from vq_vae_tf.ops.bilinear import bilinear

HEIGHT, WIDTH, FOCAL, HORIZON = 20, 28, 1.3, 0.1


def _numpy(x):
    return ops.convert_to_numpy(x)


def _camera(steps, depths=()):
    """A camera whose steps are given, the last one first, whatever the actions are."""
    camera = Camera(2, len(steps), len(depths))
    camera.build()
    return _given(camera, steps, depths)


def _given(camera, steps, depths):
    camera.focal.assign(FOCAL), camera.horizon.assign(HORIZON)
    camera.nearness.assign(np.log(np.array(depths, np.float32)))
    camera.steps = lambda actions: ops.convert_to_tensor(np.array([steps], np.float32))
    return camera


def _project(point, place, heading, lower=0.0, up=0.0):
    """Pixel (row, column) of a point (east, up, north) for a camera that stands at (east, north), turned to the right.

    The other way round than `Camera`, from points in the world to the picture; the camera is 1 above the ground, or
    lower, and looks up by so many half heights.
    """
    east, north = point[0] - place[0], point[2] - place[1]
    aside = np.cos(heading) * east - np.sin(heading) * north
    ahead = np.sin(heading) * east + np.cos(heading) * north
    x, y = FOCAL * aside / ahead, HORIZON + up - 0.7 * (point[1] - 1 + lower) / ahead
    return (y * HEIGHT + HEIGHT - 1) / 2, (x * WIDTH + WIDTH - 1) / 2


@pytest.mark.parametrize("unusual", [None, [(0.05, -0.1, 0.2, 0.3, 0.04), (-0.1, 0.2, -0.1, -0.2, -0.1)]])
def test_a_place_of_the_next_frame_is_where_older_cameras_saw_the_same_point_of_the_world(unusual):
    random = np.random.default_rng(0)
    steps = [(0.2, 0.1, 0.4), (-0.1, 0.05, 0.3)]  # the last one first: turn right, way to where one stood before
    depth = 5.0
    camera, past = _camera(steps, depths=(1 / depth,)), np.zeros((1, 3), np.int32)
    told = None if unusual is None else np.array([unusual], np.float32) * [1, 1, 1, 0.7, 1]
    read = camera(past, height=HEIGHT, width=WIDTH, unusual=told)
    rows, columns, inside = (_numpy(part)[0] for part in read)
    extra = np.zeros((2, 5)) if unusual is None else np.array(unusual)
    steps = [tuple(step + more[:3]) for step, more in zip(np.array(steps), extra, strict=True)]
    # Stands at the origin, looks north. The older cameras: a step back in the directions of the one after it.
    poses, place, heading = [], np.zeros(2), 0.0
    for turn, aside, ahead in steps:
        heading -= turn
        # The way is told in the axes of the older camera.
        right = np.array([np.cos(heading), -np.sin(heading)])
        forward = np.array([np.sin(heading), np.cos(heading)])
        place = place - aside * right - ahead * forward
        poses.append((place, heading))
    for _ in range(50):
        i, j = random.integers(HEIGHT), random.integers(WIDTH)
        x, y = (2 * j + 1 - WIDTH) / WIDTH, (2 * i + 1 - HEIGHT) / HEIGHT
        point = (x / FOCAL * depth, 1 - (y - HORIZON) / 0.7 * depth, depth)
        np.testing.assert_allclose(_project(point, np.zeros(2), 0.0), (i, j), atol=1e-9)
        for frame, pose in enumerate(poses):
            row, column = _project(point, *pose, *extra[frame, 3:])
            np.testing.assert_allclose((rows[frame, 1, i, j], columns[frame, 1, i, j]), (row, column), atol=1e-3)
            there = -0.5 < row < HEIGHT - 0.5 and -0.5 < column < WIDTH - 0.5
            assert inside[frame, 1, i, j] == there


def test_what_is_far_away_is_moved_by_turns_alone():
    walked, turned = ((0.3, 0.0, 2.0),), ((0.3, 0.0, 0.0),)
    past = np.zeros((1, 1), np.int32)
    for both in zip(
        *(_camera(steps, (0.2,))(past, height=HEIGHT, width=WIDTH) for steps in (walked, turned)), strict=True
    ):
        far, near = (_numpy(each)[0, 0] for each in both)
        np.testing.assert_allclose(far[0], near[0], atol=1e-4)
    walked, turned = (_numpy(_camera(s, (0.2,))(past, height=HEIGHT, width=WIDTH)[1])[0, 0] for s in (walked, turned))
    np.testing.assert_allclose(turned[0], turned[1], atol=1e-4)
    assert np.abs(walked[0] - walked[1]).max() > 0.5


def test_a_step_is_known_by_its_action_and_the_two_before_it_wherever_it_stands():
    keras.utils.set_random_seed(0)
    camera = Camera(3, 3, 2)
    camera.build()
    camera.step.kernel.assign(np.random.default_rng(0).normal(size=camera.step.kernel.shape))
    actions = np.random.default_rng(1).integers(0, 3, (5, 6)).astype(np.int32)
    steps = _numpy(camera.steps(actions))
    later = np.concatenate([actions[:, 1:], actions[:, :1]], axis=1)
    np.testing.assert_allclose(_numpy(camera.steps(later))[:, 1], steps[:, 0], rtol=1e-5)
    for back in range(6):
        changed = actions.copy()
        changed[:, 5 - back] = (changed[:, 5 - back] + 1) % 3
        differ = np.abs(_numpy(camera.steps(changed)) - steps).max((0, 2)) > 1e-6
        np.testing.assert_array_equal(differ, [frame <= back < frame + 3 for frame in range(3)])
    alone = Camera(0, 1, 2)
    alone.build()
    np.testing.assert_array_equal(*(_numpy(alone.steps(each)) for each in (actions, actions + 1)))


def _textured(random, *shape):
    """Smooth noise: neighbours say where one is."""
    rough = random.normal(size=shape).astype(np.float32)
    for axis in (-3, -2):
        rough = sum(np.roll(rough, shift, axis) for shift in (-2, -1, 0, 1, 2))
    return rough / rough.std()


def test_the_depth_on_which_past_frames_agree_is_the_one_foreseen():
    """A wall: frames of it are made of one picture, read where each plane but the true one would not."""
    steps, depths = [(0.1, 0.0, 0.5), (0.0, 0.0, 0.5)], (0.2, 0.45, 0.9)
    parallax = Parallax(4, (HEIGHT, WIDTH), 1, 2, 2, len(depths))
    parallax.build()
    _given(parallax.camera, steps, depths)
    parallax.log_tau.assign(np.log(1e-3))
    wall = _textured(np.random.default_rng(0), 1, 60, 60, 3)[0]

    def seen(x, y):
        """Colours of the wall where the next camera sees it in the direction (x, y, 1)."""
        at = [np.asarray(each * 10.0 + 30.0, np.float32)[None] for each in (y, x)]
        return _numpy(bilinear(wall[None], *at))[0]

    x = ((2 * np.arange(WIDTH) + 1 - WIDTH) / WIDTH / FOCAL)[None, :].repeat(HEIGHT, 0)
    y = ((2 * np.arange(HEIGHT) + 1 - HEIGHT) / HEIGHT - HORIZON)[:, None].repeat(WIDTH, 1)
    for which, near in enumerate(depths):
        frames, theta, way = [], 0.0, np.zeros(2)
        for turn, aside, ahead in steps:
            c, s = np.cos(turn), np.sin(turn)
            way = np.array([c * way[0] + s * way[1] + aside, c * way[1] - s * way[0] + ahead])
            theta += turn
            # A ray of the older camera meets the wall, Z = 1 / near of the next one, after so much of its length.
            c, s = np.cos(theta), np.sin(theta)
            along = (1 / near + (s * way[0] + c * way[1])) / (s * x + c)
            frames.append(seen((c * (x * along - way[0]) - s * (along - way[1])) * near, y * along * near))
        pictures = np.stack(frames)[None].astype(np.float32)
        foreseen, known = (_numpy(part)[0] for part in parallax.foresee(pictures, np.zeros((1, 2), np.int32)))
        truth, known = seen(x, y), known[..., 0] > 0.99
        assert known.mean() > 0.5
        read = _numpy(parallax.swept(list(pictures.swapaxes(0, 1)), np.zeros((1, 2), np.int32))[0])[0, 0]
        errors = np.square(read - truth)[:, known].mean((1, 2))
        assert errors.argmin() == which + 1
        assert np.square(foreseen - truth)[known].mean() < 0.25 * np.delete(errors, which + 1).min()
        for other in range(len(depths) + 1):  # who knows better is believed
            nats = np.zeros((1, len(depths) + 1, HEIGHT, WIDTH), np.float32)
            nats[:, other] = 1e4
            told = parallax.swept(list(pictures.swapaxes(0, 1)), np.zeros((1, 2), np.int32), known=nats)[3]
            np.testing.assert_allclose(_numpy(told)[0, other], 1.0, atol=1e-6)


@pytest.fixture(scope="module")
def world():
    """Clips of a round room: grey levels as codes. Action 0 turns to the left, 1 to the right, 2 not at all."""
    random = np.random.default_rng(0)
    height, width, levels, turn = 12, 18, 32, 0.2
    room = _textured(random, 1, 40, 160, 1)[0, ..., 0]
    room = np.clip((room + 2.5) / 5 * levels, 0, levels - 1)
    x, y = (2 * np.arange(width) + 1 - width) / width / FOCAL, (2 * np.arange(height) + 1 - height) / height
    angle, stretch = np.arctan(x), np.sqrt(1 + x**2)  # of columns; walls of a round room are as far everywhere
    actions = random.integers(0, 3, (24, 10)).astype(np.int32)
    codes = np.zeros((24, 10, height, width), np.int32)
    for clip in range(24):
        heading = random.uniform(0, 2 * np.pi)
        for t in range(10):
            j = np.round((heading + angle) / (2 * np.pi) * 160).astype(int) % 160
            i = np.clip(np.round(20 + 12 * y[:, None] / stretch), 0, 39).astype(int)
            codes[clip, t] = room[i, j]
            heading += (-turn, turn, 0.0)[actions[clip, t]]
    return codes, actions, levels, turn


def test_a_camera_is_learned_from_clips(world, monkeypatch):
    codes, actions, levels, turn = world
    monkeypatch.setattr(learn_camera, "STEPS", (0, 0, 250))
    keras.utils.set_random_seed(0)
    parallax = Parallax(levels, codes.shape[2:], 1, 3, 3, 1)
    parallax.build()
    looks = np.linspace(-2, 2, levels, dtype=np.float32)[:, None].repeat(3, 1)
    parallax.looks.assign(looks)
    endless = learn_camera.windows(parallax, codes, actions, 1, np.random.default_rng(5))
    batches = [next(endless)[0] for _ in range(4)]

    def error(guess):
        return np.mean([np.square(guess(x) - x["next"])[:, :, 4:-4].mean() for x in batches])

    copied = error(lambda x: x["pictures"][:, 0])
    learn_camera.learn_camera(parallax, codes, actions, seed=0)
    learned = error(lambda x: _numpy(parallax.foresee(x["pictures"], x["actions"])[0]))
    assert learned < 0.25 * copied, (learned, copied)
    turns = [float(_numpy(parallax.camera.steps(np.full((1, 3), a, np.int32)))[0, 0, 0]) for a in range(3)]
    np.testing.assert_allclose(turns, [-turn, turn, 0.0], atol=0.03)
    np.testing.assert_array_equal(_numpy(parallax.looks), looks)


def test_windows_are_clips_as_pictures(world):
    codes, actions, levels, _ = world
    parallax = Parallax(levels, (12, 18), 2, 3, 3, 1)
    parallax.build()
    looks = np.random.default_rng(0).normal(size=(levels, 2, 2, 3)).astype(np.float32)
    parallax.looks.assign(looks.reshape(levels, 12))
    for smaller in (1, 2):
        (x,) = next(learn_camera.windows(parallax, codes, actions, smaller, np.random.default_rng(3)))
        random = np.random.default_rng(3)
        clips, now = random.integers(0, 24, 16), random.integers(3, 10, 16)
        for k, (clip, t) in enumerate(zip(clips, now, strict=True)):
            np.testing.assert_array_equal(x["actions"][k], actions[clip, t - 3 : t])
            for frame, picture in [(t, x["next"][k]), (t - 1, x["pictures"][k, 0]), (t - 2, x["pictures"][k, 1])]:
                whole = np.concatenate([np.concatenate([looks[c] for c in row], 1) for row in codes[clip, frame]], 0)
                small = whole.reshape(24 // smaller, smaller, 36 // smaller, smaller, 3).mean((1, 3))
                np.testing.assert_allclose(picture, small, atol=1e-5)


def _past(**changes):
    keras.utils.set_random_seed(0)
    sizes = {"num_codes": 4, "grid": (3, 4), "context": 3, "num_actions": 2, "features": 6, "num_layers": 1}
    past = PastEncoder(**sizes | {"motion_features": 12, "motion_side": 2, "camera_depths": 2} | changes)
    past.build()
    return past


def test_what_is_foreseen_joins_the_map_and_its_camera_is_not_trained():
    past, random = _past(), np.random.default_rng(0)
    squares = random.normal(size=(4, 2, 2, 3)).astype(np.float32)
    past.show(squares)
    parallax, foreseen = past.parallax
    table = _numpy(parallax.looks)
    np.testing.assert_allclose(table, _numpy(past.motion[0].embeddings))
    codes, actions = (
        random.integers(0, 4, (2, 3, 3, 4)).astype(np.int32),
        random.integers(0, 2, (2, 3)).astype(np.int32),
    )
    base = _numpy(past(codes, actions))
    squares = _numpy(parallax(codes, actions))
    assert squares.shape == (2, 3, 4, 4 * parallax.channels)
    foreseen.kernel.assign(np.zeros(foreseen.kernel.shape))
    assert np.abs(_numpy(past(codes, actions)) - base).max() > 1e-3
    names = [weight.path for weight in past.trainable_weights]
    assert not any("parallax/" in name for name in names)
    assert any("foreseen" in name for name in names)
    again = PastEncoder.from_config(past.get_config())
    again.build()
    again.set_weights(past.get_weights())
    np.testing.assert_allclose(_numpy(again(codes, actions)), _numpy(past(codes, actions)), atol=1e-6)


def test_all_of_a_frozen_parallax_learns_but_the_looks(monkeypatch):
    past, random = _past(motion_side=4, motion_features=48), np.random.default_rng(0)
    past.show(random.normal(size=(4, 4, 4, 3)).astype(np.float32))
    parallax = past.parallax[0]
    before = parallax.get_weights()
    monkeypatch.setattr(learn_camera, "STEPS", (2, 2, 2))
    codes, actions = random.integers(0, 4, (5, 8, 3, 4)), random.integers(0, 2, (5, 8))
    learn_camera.learn_camera(parallax, codes, actions, seed=0)
    for weight, old, new in zip(parallax.weights, before, parallax.get_weights(), strict=True):
        assert (weight.path.endswith("looks")) == np.array_equal(old, new), weight.path
    assert not past.parallax[0].trainable_weights


def test_what_a_parallax_gives_is_laid_out_in_squares():
    """First what is foreseen: for a camera that stands still, the last frame; then the one before it."""
    past, random = _past(num_actions=0), np.random.default_rng(0)
    past.show(random.normal(size=(4, 2, 2, 3)).astype(np.float32))
    parallax = past.parallax[0]
    parallax.camera.steps = lambda actions: ops.zeros((len(actions), 2, 3))
    codes = random.integers(0, 4, (2, 3, 3, 4)).astype(np.int32)
    made = _numpy(parallax(codes, np.zeros((2, 3), np.int32))).reshape(2, 3, 4, 4, parallax.channels)
    looks = _numpy(parallax.looks).reshape(4, 4, 3)
    np.testing.assert_allclose(made[..., :3], looks[codes[:, 2]], atol=1e-4)
    np.testing.assert_allclose(made[..., 3:6], looks[codes[:, 1]], atol=1e-4)
    np.testing.assert_allclose(made[..., 6:8], 1.0, atol=1e-5)
    for plane in range(3):
        np.testing.assert_allclose(made[..., 8 + 3 * plane : 11 + 3 * plane], looks[codes[:, 2]], atol=1e-4)
    np.testing.assert_allclose(made[..., -3:], made[..., -1:] + np.zeros(3), atol=1e-4)


def test_a_camera_sees_in_colours():
    with pytest.raises(ValueError, match=r"motion_features=8 with a camera, .* expected 12"):
        _past(motion_features=8)


def test_one_past_frame_is_enough():
    past = _past(context=1)
    made = _numpy(past(np.zeros((1, 1, 3, 4), np.int32), np.zeros((1, 1), np.int32)))
    assert np.isfinite(made).all()
