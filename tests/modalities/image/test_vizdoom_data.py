from __future__ import annotations

import subprocess
import sys

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


def test_a_walker_at_a_wall_turns_for_some_steps():
    random = np.random.default_rng(0)
    action, turning = renderer._next_action(0, 0, stuck=True, random=random)
    assert action in (3, 4)
    for left in range(turning - 1, -1, -1):
        assert renderer._next_action(action, left + 1, stuck=True, random=random) == (action, left)


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
