"""Configurations of ViZDoom walks, and the record of their settings; the engine is a stand-in."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tensorflow_datasets as tfds

from vq_vae_tf.errors import UserError
from vq_vae_tf.modalities import vizdoom_builder
from vq_vae_tf.modalities.image.data import open_image_data
from vq_vae_tf.modalities.image.vizdoom import Vizdoom, VizdoomConfig
from vq_vae_tf.modalities.video.data import open_video_data
from vq_vae_tf.modalities.video.vizdoom import VizdoomVideo, VizdoomVideoConfig
from vq_vae_tf.modalities.vizdoom import Episode

SMALL = {"image_size": 8, "train_episodes": 3, "test_episodes": 1, "episode_length": 4}


@pytest.fixture
def rendered(monkeypatch):
    """What was asked of the engine; a frame of its stand-in is as grey as 50 seed + 10 episode + time."""
    tfds.disable_progress_bar()
    asked = []

    def walks(name, episodes, length, seed):
        for number in range(episodes):
            grey = 50 * seed + 10 * number + np.arange(length)
            frames = np.broadcast_to(grey[:, None, None, None], (length, 120, 160, 3)).astype(np.uint8)
            yield Episode(name, frames, (np.arange(length, dtype=np.int32) + number) % 5)

    def render_episodes(maps, episodes, length, frame_skip, seed, policy):
        asked.append(("maps", maps, episodes, length, frame_skip, seed, policy))
        return (walk for name in maps for walk in walks(name, episodes, length, seed))

    def render_scenario(scenario, episodes, length, frame_skip, seed, policy):
        asked.append((scenario, episodes, length, frame_skip, seed, policy))
        return walks(scenario, episodes, length, seed)

    monkeypatch.setattr(vizdoom_builder, "render_episodes", render_episodes)
    monkeypatch.setattr(vizdoom_builder, "render_scenario", render_scenario)
    monkeypatch.setattr(vizdoom_builder, "import_vizdoom", lambda: None)
    return asked


def prepared(directory, kind=VizdoomVideo, config=VizdoomVideoConfig, **settings):
    builder = kind(config=config(**SMALL | {"name": "mine"} | settings), data_dir=directory)
    builder.download_and_prepare()
    return builder


def greys(data, split):
    (batch,) = data.clips(split, 99)
    return batch["x"].numpy()[..., 0, 0, 0].tolist()


def test_video_of_ones_own_is_rendered_as_asked_and_opened_by_name(tmp_path, rendered):
    prepared(tmp_path, scenario="take_cover", policy="uniform", frame_skip=2, seed=2)
    assert rendered == [("take_cover", 3, 4, 2, 2, "uniform"), ("take_cover", 1, 4, 2, 3, "uniform")]
    data = open_video_data("vizdoom/mine", tmp_path, clip_length=4)
    assert data.image_shape == (8, 8, 3)
    assert sorted(greys(data, "train")) == [[100 + 10 * n + t for t in range(4)] for n in range(3)]
    assert greys(data, "test") == [[150, 151, 152, 153]]
    assert len(rendered) == 2, "rendered again"


def test_images_of_ones_own_are_rendered_as_asked_and_opened_by_name(tmp_path, rendered):
    prepared(tmp_path, Vizdoom, VizdoomConfig, scenario="my_way_home", policy="uniform")
    assert rendered == [("my_way_home", 3, 4, 6, 0, "uniform"), ("my_way_home", 1, 4, 6, 1, "uniform")]
    data = open_image_data("vizdoom/mine", tmp_path)
    assert data.class_names == ("my_way_home",)
    (batch,) = data.examples("train", 99)
    assert sorted(batch["x"].numpy()[:, 0, 0, 0]) == [10 * n + t for n in range(3) for t in range(4)]


def test_what_was_rendered_before_there_were_scenarios_is_asked_for_as_before(rendered):
    eight = ("map01", "map07", "map08", "map16", "map20", "map22", "map27", "map29")
    VizdoomVideo.builder_configs["walks84"].splits()
    assert rendered == [
        ("maps", eight, 64, 48, 4, 0, "walk"),
        ("maps", eight, 4, 48, 4, 1, "walk"),
        ("maps", ("map02", "map10"), 8, 48, 4, 2, "walk"),
    ]
    rendered.clear()
    Vizdoom.builder_configs["frames84"].splits()
    assert rendered == [("maps", eight, 63, 16, 6, 0, "walk"), ("maps", eight, 8, 16, 6, 1, "walk")]


def test_without_unseen_maps_there_is_no_such_split(tmp_path, rendered):
    builder = prepared(tmp_path, maps=["map01", "map02"], unseen_maps=(), policy="uniform")
    assert [asked[-1] for asked in rendered] == ["uniform", "uniform"]
    assert {split: info.num_examples for split, info in builder.info.splits.items()} == {"train": 6, "test": 2}


CHANGES = [
    {"seed": 1},
    {"policy": "uniform"},
    {"scenario": "basic"},
    {"maps": ("map01", "map05")},
    {"unseen_maps": ("map10",)},
    {"image_size": 9},
    {"train_episodes": 2},
    {"test_episodes": 2},
    {"unseen_episodes": 7},
    {"episode_length": 5},
    {"frame_skip": 5},
]


def test_data_of_other_settings_are_not_taken_for_those_of_the_same_name(tmp_path, rendered):
    path = prepared(tmp_path).data_path
    for change in CHANGES:
        ((name, value),) = change.items()
        with pytest.raises(UserError, match="give the configuration another name, or delete that folder") as refused:
            prepared(tmp_path, **change)
        assert str(path) in str(refused.value)
        asked = str(refused.value).split("asked for is ")[1]
        assert f"{name}={json.loads(json.dumps(value))!r}" in asked
    assert len(rendered) == 3
    assert {name for change in CHANGES for name in change} == set(VizdoomVideoConfig(name="x").settings())


def test_the_same_settings_and_other_names_go_on(tmp_path, rendered):
    prepared(tmp_path, maps=("map01", "map05"))
    prepared(tmp_path, maps=["map01", "map05"], description="a list, and other words")
    assert len(rendered) == 3
    prepared(tmp_path, name="other", maps=("map01",), seed=1)
    assert sorted(greys(open_video_data("vizdoom/mine", tmp_path, clip_length=4), "train"))[0] == [0, 1, 2, 3]
    assert sorted(greys(open_video_data("vizdoom/other", tmp_path, clip_length=4), "train"))[0] == [50, 51, 52, 53]


@pytest.mark.parametrize("kept", [None, ("seed", "maps")])
def test_data_without_a_record_or_of_fewer_settings_still_open(kept, tmp_path, rendered):
    record = prepared(tmp_path).data_path / "metadata.json"
    if kept is None:
        record.unlink()
    else:
        record.write_text(json.dumps({name: json.loads(record.read_text())[name] for name in kept}))
    VizdoomVideo(config=VizdoomVideoConfig(**SMALL, name="mine"), data_dir=tmp_path)
    assert open_video_data("vizdoom/mine", tmp_path, clip_length=4).frames.sizes["train"] == 3 * 8 * 4
    assert len(rendered) == 3


@pytest.mark.parametrize("config", [VizdoomConfig, VizdoomVideoConfig])
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scenario": "doom"}, r"scenario='doom', expected freedoom2 or one of basic, .*my_way_home"),
        ({"policy": "run"}, r"policy='run', expected one of walk, uniform"),
        ({"maps": ()}, r"maps=\(\), expected one map or more"),
        ({"maps": "map01"}, r"maps='map01', expected a tuple of different maps from map01 to map32"),
        ({"maps": ("map01", "map33")}, r"maps=\('map01', 'map33'\), expected a tuple .* from map01 to map32"),
        ({"maps": ("map01", "map01")}, r"expected a tuple of different maps"),
        ({"scenario": "basic", "maps": ("map01",)}, r"scenario='basic' has its own: leave them out"),
        ({"image_size": 0}, r"image_size=0, expected a whole number from 1 on"),
        ({"image_size": 8.5}, r"image_size=8.5, expected a whole number"),
        ({"frame_skip": 0}, r"frame_skip=0, expected a whole number from 1 on"),
        ({"episode_length": 0}, r"episode_length=0, expected"),
        ({"train_episodes": 0}, r"train_episodes=0, expected"),
        ({"test_episodes": -1}, r"test_episodes=-1, expected"),
        ({"seed": -1}, r"seed=-1, expected a whole number from 0 on"),
    ],
)
def test_a_configuration_that_cannot_be_rendered_is_refused(config, settings, message):
    with pytest.raises(UserError, match=message) as refused:
        config(name="mine", **settings)
    assert str(refused.value).startswith("ViZDoom configuration 'mine': ")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"maps": ("map02",)}, r"unseen_maps=\('map02', 'map10'\), expected none of maps=\('map02',\)"),
        ({"unseen_maps": ("E1M1",)}, r"unseen_maps=\('E1M1',\), expected a tuple of different maps"),
        ({"unseen_episodes": 0}, r"unseen_episodes=0, expected"),
    ],
)
def test_unseen_maps_are_refused_where_they_are_seen_or_are_none(settings, message):
    with pytest.raises(UserError, match=message):
        VizdoomVideoConfig(name="mine", **settings)
