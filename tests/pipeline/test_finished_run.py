"""A finished run: what a command refuses can be mended as it says, and it goes where its data does not.

One file, so that one process trains the run for all of these tests.
"""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

from vq_vae_tf import progress
from vq_vae_tf.config import Config, recipes_directory, replace
from vq_vae_tf.errors import UserError
from vq_vae_tf.pipeline.image import ImageModality
from vq_vae_tf.pipeline.run import Run, open_run, read_flagfile, start_run

pytestmark = pytest.mark.slow


@pytest.fixture
def copy(finished_run, tmp_path):
    return shutil.copytree(finished_run, tmp_path / "run")


@pytest.fixture
def again(command, small, pictures):
    """bin/train on the pictures with other flags."""

    def of(workdir, *flags, status=0):
        return command("train", *small, f"--dataset=folder:{pictures}", f"--workdir={workdir}", *flags, status=status)

    return of


def result_of(workdir):
    return json.loads((workdir / "vqvae" / "result.json").read_text())["digest"]


@pytest.mark.parametrize("wrong", ["--quantizer=foo", "--batch_size=1000", "--export_name=a/b", "--eval_split=nowhere"])
def test_a_refused_flag_is_refused_before_any_work_and_not_held_against_the_right_one(again, tmp_path, wrong):
    assert wrong.partition("=")[2] in again(tmp_path / "run", wrong, status=2)
    assert not (tmp_path / "run" / "vqvae").exists()
    # The right flags get past what was refused, to what has not been trained.
    told = again(tmp_path / "run", "--stages=codes", status=2)
    assert "has no finished training; run bin/train with --stages=vqvae first" in told
    assert open_run(str(tmp_path / "run")).config.training.batch_size == 8


def test_flags_by_which_a_stage_has_worked_are_held(again, copy):
    assert "holds another run: --batch_size=4 (was 8)" in again(copy, "--batch_size=4", status=2)


def test_flags_of_the_prior_are_open_until_its_training_begins(again, copy):
    was = result_of(copy)
    shutil.rmtree(copy / "prior")
    again(copy, "--stages=prior", "--prior_steps=3", "--prior_units=24")
    assert result_of(copy) == was
    kept = open_run(str(copy)).config.prior
    assert (kept.prior_steps, kept.prior_units) == (3, 24)
    assert json.loads((copy / "prior" / "result.json").read_text())["steps"] == 3
    told = again(copy, "--stages=prior", "--prior_steps=5", "--prior_units=24", status=2)
    assert "holds another run: --prior_steps=5 (was 3)" in told


def test_a_prior_that_the_quantizer_holds_is_not_open(finished_run, tmp_path):
    config = replace(read_flagfile(finished_run / "config.flags"), quantizer="joint", workdir=str(tmp_path))
    start_run(config)
    (tmp_path / "vqvae").mkdir()
    with pytest.raises(UserError, match="holds another run: --prior_units=7"):
        start_run(replace(config, prior_units=7))


def test_evaluation_says_how_far_it_is(command, copy, monkeypatch):
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    told = command("evaluate", f"--workdir={copy}", "--eval_split=train", "--eval_batch_size=6").splitlines()
    for part in ("reconstructions", "codes", "uniform", "learned"):
        steps = [line.split()[2] for line in told if line.startswith(f"evaluate: {part} ")]
        assert steps == ["1/4", "2/4", "3/4", "4/4"]  # of 19 pictures


def test_damaged_codes_are_refused_by_training_and_mended_by_bin_encode(again, command, copy):
    whole = {path.name: path.read_bytes() for path in (copy / "codes").iterdir()}
    records = next((copy / "codes").glob("train-*.tfrecord"))
    for damaged, content in (
        (copy / "codes" / "manifest.json", b"{"),
        (records, bytes([records.read_bytes()[0] ^ 1]) + records.read_bytes()[1:]),
    ):
        damaged.write_bytes(content)
        told = again(copy, "--stages=codes", status=2)
        assert str(damaged) in told
        assert "encode the data again (bin/encode)" in told
        assert "examples encoded into" in command("encode", f"--workdir={copy}")
        assert {path.name: path.read_bytes() for path in (copy / "codes").iterdir()} == whole
        assert "already in" in command("encode", f"--workdir={copy}")


def test_weights_that_are_gone_or_damaged_come_back_as_the_message_says(again, command, copy):
    weights, before = copy / "vqvae" / "model.weights.h5", result_of(copy)
    weights.write_bytes(weights.read_bytes()[:3000])
    told = command("evaluate", f"--workdir={copy}", status=2)
    assert f"{weights} is damaged" in told
    assert "delete it and run bin/train again" in told
    weights.unlink()
    again(copy, "--stages=vqvae")
    assert result_of(copy) == before
    command("evaluate", f"--workdir={copy}")


def test_damaged_metadata_of_an_export_is_no_traceback(command, copy):
    metadata = copy / "export" / "model" / "1" / "assets.extra" / "vq_vae_tf.json"
    metadata.write_text('{"digests": ')
    assert "verified SavedModel in" in command("export", f"--workdir={copy}")
    assert (copy / "export" / "model" / "2").is_dir()


@pytest.mark.parametrize(
    ("name", "flags", "said"),
    [
        ("encode", ["--output=x"], "--output was given without --input"),
        ("evaluate", ["--search_sweeps=2"], "--search_sweeps is for a search"),
        ("sample", ["--temperatures="], "--temperatures has no number"),
        ("sample", ["--keep=0.3"], "--keep was given without --complete"),
    ],
)
def test_flags_that_would_do_nothing_are_refused(finished_run, command, name, flags, said):
    assert said in command(name, f"--workdir={finished_run}", *flags, status=2)


@pytest.mark.parametrize("kind", ["audio", "video"])
def test_flags_of_images_mean_nothing_to_other_data(finished_run, command, tmp_path, kind):
    text = (finished_run / "config.flags").read_text()
    (tmp_path / "config.flags").write_text(text.replace("--modality=image", f"--modality={kind}"))
    for name, flag in (
        ("evaluate", "iw_samples=3"),
        ("evaluate", "search_candidates=4"),
        ("sample", "samples_per_class=2"),
    ):
        told = command(name, f"--workdir={tmp_path}", f"--{flag}", status=2)
        assert f"--{flag.partition('=')[0]} means nothing to a run with --modality={kind}" in told


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
    # Everything else is there; the note is written again.
    command("train", f"--flagfile={copy / 'config.flags'}", f"--workdir={copy}")
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


def test_a_prior_holds_the_flags_of_the_codes_it_has_learned_should_they_be_gone(tmp_path):
    for stage in ("vqvae", "prior"):
        (tmp_path / stage).mkdir()
    assert Run(Config(), tmp_path).begun == {"vqvae", "codes", "prior"}
    (tmp_path / "prior").rmdir()
    assert Run(Config(), tmp_path).begun == {"vqvae"}
