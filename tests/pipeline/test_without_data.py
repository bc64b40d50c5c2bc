"""A run goes where its data does not: its models know of it what they need, and notice when it is another."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import sys

import numpy as np
import pytest
import tensorflow as tf

pytestmark = pytest.mark.slow


def call(command, *argv, status=0):
    told = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stderr(told):
        patch.setattr(sys, "argv", [command, *map(str, argv)])
        got = importlib.import_module(f"vq_vae_tf.commands.{command}").main()
    assert got == status, told.getvalue()
    return told.getvalue()


@pytest.fixture(scope="module")
def trained(run, picture_folder, tmp_path_factory):
    random = np.random.default_rng(0)
    data = picture_folder(12, lambda: random.integers(0, 255, (16, 16, 3), dtype=np.uint8))
    workdir = tmp_path_factory.mktemp("without") / "run"
    run("--flagfile=smoke.flags", f"--dataset=folder:{data}", f"--workdir={workdir}", "--stages=vqvae,codes,prior")
    return data, workdir


@pytest.fixture
def gone(trained, tmp_path):
    data, workdir = trained
    picture = tmp_path / "one.png"
    picture.write_bytes((data / "a" / "0.png").read_bytes())
    away = data.with_name("away")
    data.rename(away)
    yield workdir, picture
    away.rename(data)


def test_what_needs_no_examples_works_where_the_data_is_not(gone, tmp_path):
    workdir, picture = gone
    here = f"--workdir={workdir}"
    told = call("sample", here, "--classes=b", f"--output={tmp_path / 'b.png'}")
    assert "b 1" in told
    call("sample", here, f"--complete={picture}", f"--output={tmp_path / 'c.png'}")
    assert tf.io.decode_image((tmp_path / "c.png").read_bytes()).shape[0] > 2 * 16
    told = call("sample", here, "--classes=cat", status=2)
    assert "choose from a, b" in told
    told = call("evaluate", here, status=2)
    assert "folder" in told
    assert not (workdir / "evaluation.json").exists()


def test_other_classes_than_those_of_training_are_refused(trained, tmp_path):
    data, workdir = trained
    (data / "aa").mkdir()
    (data / "aa" / "0.png").write_bytes((data / "a" / "0.png").read_bytes())
    told = call("evaluate", f"--workdir={workdir}", status=2)
    assert "has other class_names than when" in told
    assert '["a", "aa", "b"] for ["a", "b"]' in told
    (data / "aa" / "0.png").unlink()
    (data / "aa").rmdir()


def test_a_damaged_note_is_named_and_a_missing_one_is_no_matter(trained, tmp_path):
    _, workdir = trained
    note = workdir / "data.json"
    facts = json.loads(note.read_text())
    assert facts["image_shape"] == [16, 16, 3]
    whole = note.read_bytes()
    note.write_bytes(whole[:20])
    told = call("sample", f"--workdir={workdir}", status=2)
    assert f"{note} is damaged; remove it" in told
    note.unlink()
    call("sample", f"--workdir={workdir}", f"--output={tmp_path / 'x.png'}")
    call("train", f"--flagfile={workdir / 'config.flags'}")  # everything is there; the note is written again
    assert note.read_bytes() == whole


def test_what_was_refused_is_not_held_against_the_next_command(picture_folder, tmp_path):
    random = np.random.default_rng(1)
    data = picture_folder(12, lambda: random.integers(0, 255, (16, 16, 3), dtype=np.uint8))
    typed = ["--flagfile=smoke.flags", f"--dataset=folder:{data}", f"--workdir={tmp_path / 'run'}", "--stages=vqvae"]
    call("train", *typed, "--downsamplings=9", status=2)
    (data / "b").rename(data / "c")
    call("train", *typed)
    assert json.loads((tmp_path / "run" / "data.json").read_text())["class_names"] == ["a", "c"]
