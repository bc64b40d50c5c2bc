from __future__ import annotations

import subprocess
import sys
from functools import partial
from itertools import cycle
from types import SimpleNamespace

import numpy as np
import pytest

from vq_vae_tf.errors import UserError
from vq_vae_tf.modalities import vizdoom as renderer
from vq_vae_tf.modalities.image.data import open_image_data


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    pytest.importorskip("vizdoom", reason="needs the extra `vizdoom`")
    import tensorflow_datasets as tfds

    tfds.disable_progress_bar()
    return tmp_path_factory.mktemp("frames")


def walks(seed=0, maps=("map01",), episodes=2, length=5):
    pytest.importorskip("vizdoom", reason="needs the extra `vizdoom`")
    return list(renderer.render_episodes(maps, episodes, length, frame_skip=6, seed=seed))


def test_renders_once_then_reads(directory, monkeypatch):
    data = open_image_data("vizdoom/tiny", directory)
    assert data.sizes == {"train": 64, "validation": 0, "test": 32}
    assert data.image_shape == (32, 32, 3)
    assert data.class_names == ("map01", "map20")
    (batch,) = data.examples("train", 64)
    (test,) = data.examples("test", 64)
    images, labels = batch["x"].numpy(), batch["label"].numpy()
    assert np.bincount(labels).tolist() == [32, 32]
    assert len(np.unique(images.reshape(64, -1), axis=0)) > 60, "frames repeat: frozen screen?"
    assert np.median(images.reshape(64, -1).std(1)) > 10, "flat frames: black screen or a wall?"
    red = images[..., 0].mean((1, 2)) - images[..., 2].mean((1, 2))
    assert red[labels == 1].mean() > red[labels == 0].mean(), "map20 is brown and red, map01 grey and blue"
    seen = {image.tobytes() for image in images}
    assert sum(image.tobytes() in seen for image in test["x"].numpy()) == 0

    monkeypatch.setattr(renderer, "import_vizdoom", lambda: pytest.fail("rendered again"))
    again = open_image_data("vizdoom/tiny", directory, image_size=16, max_examples=8)
    (small,) = again.examples("train", 64)
    blocks = images[:8].reshape(8, 16, 2, 16, 2, 3).mean((2, 4))
    np.testing.assert_array_equal(small["x"], np.round(blocks).astype(np.uint8))


def test_walks_depend_on_the_seed_alone_and_actions_move(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first, again, other = walks(), walks(), walks(seed=1)
    assert not list(tmp_path.iterdir()), "the engine left files behind"
    for one, two, three in zip(first, again, other, strict=True):
        assert one.frames.shape == (5, 120, 160, 3)
        assert one.actions.shape == (5,)
        np.testing.assert_array_equal(one.frames, two.frames)
        np.testing.assert_array_equal(one.actions, two.actions)
        assert (one.frames != three.frames).any()
        assert all((one.frames[t] != one.frames[t + 1]).any() for t in range(4))


def test_places_of_a_map():
    pytest.importorskip("vizdoom", reason="needs the extra `vizdoom`")
    places = renderer._things(renderer._wad(), "map01")
    assert places.shape[1] == 2
    assert len(places) > 50
    assert len(np.unique(places, axis=0)) > 40


@pytest.mark.parametrize("scenario", ["", "my_way_home"])
def test_actions_are_what_led_from_frame_to_frame(scenario, monkeypatch):
    def render(policy):
        if scenario:
            return list(renderer.render_scenario(scenario, 2, 8, 4, 3, policy))
        return list(renderer.render_episodes(("map07",), 2, 8, 4, 3, policy))

    pytest.importorskip("vizdoom", reason="needs the extra `vizdoom`")
    for policy in ("walk", "uniform"):
        shown = render(policy)
        script = iter(np.concatenate([walk.actions for walk in shown]))
        monkeypatch.setitem(renderer.POLICIES, "script", lambda *_, script=script: (int(next(script)), 0))
        for one, two in zip(shown, render("script"), strict=True):
            np.testing.assert_array_equal(one.frames, two.frames)
            np.testing.assert_array_equal(one.actions, two.actions)


def test_scenarios_are_those_of_the_wheel():
    pytest.importorskip("vizdoom", reason="needs the extra `vizdoom`")
    folder = renderer._wad().with_name("scenarios")
    for scenario in renderer.SCENARIOS:
        assert (folder / f"{scenario}.cfg").exists(), scenario
        assert (folder / f"{scenario}.wad").exists(), scenario
    things = renderer._things(renderer._wad(), renderer.MAPS[-1])
    assert len(things) > 50


def test_walks_through_a_scenario_start_where_it_has_them_start(tmp_path, monkeypatch):
    """health_gathering has one place, my_way_home draws a room."""
    pytest.importorskip("vizdoom", reason="needs the extra `vizdoom`")
    monkeypatch.chdir(tmp_path)
    one_place = [list(renderer.render_scenario("health_gathering", 3, 5, 6, seed)) for seed in (0, 0, 1)]
    first = [[walk.frames[0] for walk in walks] for walks in one_place]
    near = np.abs(np.diff(np.array(first[0]).astype(float), axis=0)).mean()
    rooms = [walk.frames[0] for walk in renderer.render_scenario("my_way_home", 3, 2, 6, 0)]
    far = np.abs(np.diff(np.array(rooms).astype(float), axis=0)).mean()
    assert near < far / 2
    for one, two, three in zip(*one_place, strict=True):
        assert one.map_name == "health_gathering"
        np.testing.assert_array_equal(one.frames, two.frames)
        np.testing.assert_array_equal(one.actions, two.actions)
        assert (one.frames[1:] != three.frames[1:]).any()
        assert all((one.frames[t] != one.frames[t + 1]).any() for t in range(4))
    assert not list(tmp_path.iterdir()), "the engine left files behind"


def test_a_walker_who_starts_is_not_taken_for_one_at_a_wall():
    for tics in range(1, 20):
        speed = way = 0.0
        for _ in range(tics):  # of the engine: 25 units of forward move are this push; the ground slows
            speed = 0.90625 * speed + 25 * 2048 / 65536
            way += speed
        assert 0 < renderer._stuck_below(tics) < way
    assert renderer._stuck_below(4) == renderer._stuck_below(6) == 4.0, "other walks than those on disk"


def test_walks_that_always_end_early_are_given_up():
    class Exit:
        """A map whose exit is one step away, and two when the walker is put there again."""

        steps = cycle((1, 2))

        def new_episode(self):
            self.left = next(self.steps)

        def is_episode_finished(self):
            return self.left == 0

        def get_state(self):
            return SimpleNamespace(game_variables=np.zeros(2), screen_buffer=np.full((120, 160, 3), self.left))

        def make_action(self, buttons, tics):
            self.left -= 1

        def send_game_command(self, command):
            pass

    def walk_of(length):
        game = Exit()
        begin = partial(renderer._begin_anew, game)
        return renderer._walk(game, "hall", begin, length, 4, renderer.POLICIES["walk"], np.random.default_rng(0))

    assert walk_of(2).frames[:, 0, 0, 0].tolist() == [2, 1]
    with pytest.raises(UserError, match=r"walks through hall end before 3 frames.*give a shorter episode_length"):
        walk_of(3)


def test_without_vizdoom_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "vizdoom", None)
    with pytest.raises(UserError, match=r"pip install vq_vae_tf\[vizdoom\]"):
        open_image_data("vizdoom/tiny", tmp_path)


def test_unknown_configuration(tmp_path):
    with pytest.raises(UserError, match=r"--dataset=vizdoom/large.*frames84"):
        open_image_data("vizdoom/large", tmp_path)


def test_importing_the_sources_imports_neither_tfds_nor_vizdoom():
    code = (
        "import sys, vq_vae_tf.modalities.image.data, vq_vae_tf.codes;"
        "print([m for m in ('tensorflow_datasets', 'vizdoom') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
