"""What a command refuses can be mended as it says, and what a refusal left behind is not held against the next one."""

from __future__ import annotations

import json
import shutil

import pytest

from vq_vae_tf.pipeline.run import open_run

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


def test_damaged_metadata_of_an_export_is_no_traceback(again, copy):
    metadata = copy / "export" / "model" / "1" / "assets.extra" / "vq_vae_tf.json"
    metadata.write_text('{"digests": ')
    assert "verified SavedModel in" in again(copy, "--stages=export")
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
