"""A run goes where its data does not: its models know of it what they need, and notice when it is another."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

from vq_vae_tf.config import recipes_directory, replace
from vq_vae_tf.pipeline.image import ImageModality
from vq_vae_tf.pipeline.run import read_flagfile, start_run

pytestmark = pytest.mark.slow


@pytest.fixture
def copy(finished_run, tmp_path):
    return shutil.copytree(finished_run, tmp_path / "run")


@pytest.fixture
def picture_without_data(pictures, tmp_path):
    """One picture; the folder that it is from is away."""
    picture, away = tmp_path / "one.png", pictures.with_name("away")
    picture.write_bytes((pictures / "a" / "0.png").read_bytes())
    pictures.rename(away)
    yield picture
    away.rename(pictures)


def test_what_needs_no_examples_works_where_the_data_is_not(command, copy, picture_without_data, tmp_path):
    here, scores = f"--workdir={copy}", (copy / "evaluation.json").read_bytes()
    told = command("sample", here, "--classes=b", f"--output={tmp_path / 'b.png'}")
    assert "b 1" in told
    command("sample", here, f"--complete={picture_without_data}", f"--output={tmp_path / 'c.png'}")
    assert tf.io.decode_image((tmp_path / "c.png").read_bytes()).shape[0] > 2 * 16
    told = command("sample", here, "--classes=cat", status=2)
    assert "choose from a, b" in told
    told = command("evaluate", here, status=2)
    assert "folder" in told
    assert (copy / "evaluation.json").read_bytes() == scores


def test_other_classes_than_those_of_training_are_refused(command, finished_run, pictures):
    (pictures / "aa").mkdir()
    (pictures / "aa" / "0.png").write_bytes((pictures / "a" / "0.png").read_bytes())
    told = command("evaluate", f"--workdir={finished_run}", status=2)
    assert "has other class_names than when" in told
    assert '["a", "aa", "b"] for ["a", "b"]' in told
    (pictures / "aa" / "0.png").unlink()
    (pictures / "aa").rmdir()


def test_a_damaged_note_is_named_and_a_missing_one_is_no_matter(command, copy, tmp_path):
    note = copy / "data.json"
    facts = json.loads(note.read_text())
    assert facts["image_shape"] == [16, 16, 3]
    whole = note.read_bytes()
    note.write_bytes(whole[:20])
    told = command("sample", f"--workdir={copy}", status=2)
    assert f"{note} is damaged; remove it" in told
    note.unlink()
    command("sample", f"--workdir={copy}", f"--output={tmp_path / 'x.png'}")
    command(
        "train", f"--flagfile={copy / 'config.flags'}", f"--workdir={copy}"
    )  # everything is there; the note is written again
    assert note.read_bytes() == whole


def test_what_was_refused_is_not_held_against_the_next_command(command, small, picture_folder, tmp_path):
    random = np.random.default_rng(1)
    data = picture_folder(12, lambda: random.integers(0, 255, (16, 16, 3), dtype=np.uint8))
    typed = [*small, f"--dataset=folder:{data}", f"--workdir={tmp_path / 'run'}", "--stages=vqvae"]
    command("train", *typed, "--downsamplings=9", status=2)
    (data / "b").rename(data / "c")
    command("train", *typed)
    assert json.loads((tmp_path / "run" / "data.json").read_text())["class_names"] == ["a", "c"]


def test_data_is_opened_once_for_a_run(small, pictures, tmp_path, monkeypatch):
    opened, open_data = [], ImageModality.open_data
    monkeypatch.setattr(ImageModality, "open_data", lambda self, config: opened.append(1) or open_data(self, config))
    config = read_flagfile(recipes_directory() / "smoke.flags")
    run = start_run(replace(config, dataset=f"folder:{pictures}", workdir=str(tmp_path / "run")))
    assert run.data.sizes["train"] > 0
    assert run.config.model.data_variance > 0
    assert opened == [1]
