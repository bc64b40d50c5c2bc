"""Video of TFDS by name, written by the real builders out of made-up episodes."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow_datasets as tfds

from vq_vae_tf.errors import UserError
from vq_vae_tf.modalities.video import tfds_source
from vq_vae_tf.modalities.video.data import open_video_data
from vq_vae_tf.modalities.video.tfds_source import numbered_actions


def prepared(monkeypatch, name, data_dir, splits):
    """Has TFDS's builder write these episodes, split -> list, in place of what it would download."""
    tfds.disable_progress_bar()
    kind = tfds.builder_cls(name)
    examples = {split: list(enumerate(episodes)) for split, episodes in splits.items()}
    monkeypatch.setattr(kind, "_split_generators", lambda self, manager: examples)
    tfds.builder(name, data_dir=data_dir).download_and_prepare()


def pushes(count, seed):
    """Episodes of BAIR's features: every frame of one grey, which the first action says."""
    random = np.random.default_rng(seed)
    for _ in range(count):
        actions = random.uniform(-1, 1, (30, 4)).astype(np.float32)
        yield [
            {
                "image_main": np.full((64, 64, 3), round(100 + 100 * a[0]), np.uint8),
                "image_aux1": np.zeros((64, 64, 3), np.uint8),
                "action": a,
                "endeffector_pos": np.zeros(3, np.float32),
            }
            for a in actions
        ]


def test_bair_gives_frames_with_the_words_of_their_actions(tmp_path, monkeypatch):
    prepared(monkeypatch, "bair_robot_pushing_small", tmp_path, {"train": pushes(6, 0), "test": pushes(2, 1)})
    data = open_video_data("bair_robot_pushing_small", tmp_path, image_size=16, clip_length=15, validation_size=2)
    assert data.sizes == {"train": 150, "validation": 30, "test": 60}
    assert data.action_names == ("x-y-", "x-y0", "x-y+", "x0y-", "x0y0", "x0y+", "x+y-", "x+y0", "x+y+")
    (batch,) = data.clips("train", 99)
    assert batch["x"].shape == (10, 15, 16, 16, 3)
    grey, third = batch["x"].numpy()[..., 0, 0, 0], batch["actions"].numpy() // 3
    assert grey[third == 0].max() <= grey[third == 1].min() <= grey[third == 1].max() <= grey[third == 2].min()
    fewer = open_video_data("bair_robot_pushing_small", tmp_path, clip_length=30, max_examples=2)
    assert fewer.sizes == {"train": 60, "test": 60}
    monkeypatch.setattr(tfds_source, "MEMORY_BYTES", 3 * 30 * 64 * 64 * 3)
    with pytest.raises(UserError, match=r"6 episodes of 0\.4 MB are more than .* give --max_examples=3 or fewer"):
        open_video_data("bair_robot_pushing_small", tmp_path, clip_length=30)


def test_moving_mnist_has_no_actions_and_is_split_by_us(tmp_path, monkeypatch):
    digits = np.random.default_rng(0).integers(0, 256, (20, 20, 64, 64, 1)).astype(np.uint8)
    prepared(monkeypatch, "moving_mnist", tmp_path, {"test": [{"image_sequence": video} for video in digits]})
    data = open_video_data("moving_mnist", tmp_path, clip_length=20)
    assert data.sizes == {"train": 18 * 20, "test": 2 * 20}
    assert data.action_names == ()
    seen = np.concatenate([batch["x"].numpy() for split in ("train", "test") for batch in data.clips(split, 99)])
    assert {video.tobytes() for video in seen[..., :1]} == {video.tobytes() for video in digits}
    assert (seen == seen[..., :1]).all()


def test_splits_of_which_none_is_for_training_are_named(tmp_path, monkeypatch):
    digits = [{"image_sequence": np.zeros((20, 64, 64, 1), np.uint8)}]
    prepared(monkeypatch, "moving_mnist", tmp_path, {"test": digits, "validation": digits})
    with pytest.raises(UserError, match="has the splits test, validation; expected one, or train and another"):
        open_video_data("moving_mnist", tmp_path, clip_length=20)


def test_what_is_no_video_is_named(tmp_path, monkeypatch):
    with pytest.raises(UserError, match="no such data set, expected a TFDS name such as bair_robot_pushing_small"):
        open_video_data("robots", tmp_path)
    pictures = [{"id": str(i), "image": np.zeros((32, 32, 3), np.uint8), "label": 0} for i in range(2)]
    prepared(monkeypatch, "cifar10", tmp_path, {"train": pictures, "test": pictures})
    with pytest.raises(UserError, match=r"'cifar10' has features \['id', 'image', 'label'\], none of them frames"):
        open_video_data("cifar10", tmp_path)


def test_whole_numbers_are_actions_already_and_others_are_refused():
    names, numbers = numbered_actions({"train": np.array([[0, 2]]), "test": np.array([[3, 1]])})
    assert names == ("0", "1", "2", "3")
    np.testing.assert_array_equal(numbers["test"], [[3, 1]])
    with pytest.raises(UserError, match="expected one whole number or a vector of reals"):
        numbered_actions({"train": np.array([["a"]])})
