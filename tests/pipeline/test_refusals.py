"""What a command refuses can be mended as it says, and what a refusal left behind is not held against the next one."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import shutil
import sys

import numpy as np
import pytest

from vq_vae_tf.pipeline.run import open_run

pytestmark = pytest.mark.slow
SMALL = ["--flagfile=smoke.flags", "--steps=4", "--warmup_steps=0", "--batch_size=8", "--prior_steps=2",
         "--prior_warmup_steps=0", "--prior_batch_size=8", "--prior_layers=1", "--samples_per_class=1"]  # fmt: skip


def command(name, *argv, status=0):
    """Calls a command in this process; returns what it told the user."""
    told = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stderr(told):
        patch.setattr(sys, "argv", [name, *argv])
        got = importlib.import_module(f"vq_vae_tf.commands.{name}").main()
    assert got == status, told.getvalue()
    assert "Traceback" not in told.getvalue()
    return told.getvalue()


@pytest.fixture(scope="module")
def pictures(picture_folder):
    random = np.random.default_rng(0)
    return picture_folder(10, lambda: random.integers(0, 256, (16, 16, 3)).astype(np.uint8))


@pytest.fixture(scope="module")
def trained(pictures, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("trained") / "run"
    command("train", *SMALL, f"--dataset=folder:{pictures}", f"--workdir={workdir}")
    return workdir


@pytest.fixture
def copy(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "run")


def again(pictures, workdir, *flags, status=0):
    return command("train", *SMALL, f"--dataset=folder:{pictures}", f"--workdir={workdir}", *flags, status=status)


def result_of(workdir):
    return json.loads((workdir / "vqvae" / "result.json").read_text())["digest"]


@pytest.mark.parametrize("wrong", ["--quantizer=foo", "--batch_size=1000", "--export_name=a/b", "--eval_split=nowhere"])
def test_a_refused_flag_is_refused_before_any_work_and_not_held_against_the_right_one(pictures, tmp_path, wrong):
    assert wrong.partition("=")[2] in again(pictures, tmp_path / "run", wrong, status=2)
    assert not (tmp_path / "run" / "vqvae").exists()
    again(pictures, tmp_path / "run", "--stages=vqvae")
    assert open_run(str(tmp_path / "run")).config.training.batch_size == 8


def test_flags_by_which_a_stage_has_worked_are_held(pictures, copy):
    assert "holds another run: --batch_size=4 (was 8)" in again(pictures, copy, "--batch_size=4", status=2)


def test_damaged_codes_are_refused_by_training_and_mended_by_bin_encode(pictures, copy):
    whole = {path.name: path.read_bytes() for path in (copy / "codes").iterdir()}
    records = next((copy / "codes").glob("train-*.tfrecord"))
    for damaged, content in (
        (copy / "codes" / "manifest.json", b"{"),
        (records, bytes([records.read_bytes()[0] ^ 1]) + records.read_bytes()[1:]),
    ):
        damaged.write_bytes(content)
        told = again(pictures, copy, "--stages=codes", status=2)
        assert str(damaged) in told
        assert "encode the data again (bin/encode)" in told
        assert "examples encoded into" in command("encode", f"--workdir={copy}")
        assert {path.name: path.read_bytes() for path in (copy / "codes").iterdir()} == whole
        assert "already in" in command("encode", f"--workdir={copy}")


def test_weights_that_are_gone_or_damaged_come_back_as_the_message_says(pictures, copy):
    weights, before = copy / "vqvae" / "model.weights.h5", result_of(copy)
    weights.write_bytes(weights.read_bytes()[:3000])
    told = command("evaluate", f"--workdir={copy}", status=2)
    assert f"{weights} is damaged" in told
    assert "delete it and run bin/train again" in told
    weights.unlink()
    again(pictures, copy, "--stages=vqvae")
    assert result_of(copy) == before
    command("evaluate", f"--workdir={copy}")


def test_damaged_metadata_of_an_export_is_no_traceback(pictures, copy):
    metadata = copy / "export" / "model" / "1" / "assets.extra" / "vq_vae_tf.json"
    metadata.write_text('{"digests": ')
    assert "verified SavedModel in" in again(pictures, copy, "--stages=export")
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
def test_flags_that_would_do_nothing_are_refused(trained, name, flags, said):
    assert said in command(name, f"--workdir={trained}", *flags, status=2)


@pytest.mark.parametrize("kind", ["audio", "video"])
def test_flags_of_images_mean_nothing_to_other_data(trained, tmp_path, kind):
    text = (trained / "config.flags").read_text()
    (tmp_path / "config.flags").write_text(text.replace("--modality=image", f"--modality={kind}"))
    for name, flag in (
        ("evaluate", "iw_samples=3"),
        ("evaluate", "search_candidates=4"),
        ("sample", "samples_per_class=2"),
    ):
        told = command(name, f"--workdir={tmp_path}", f"--{flag}", status=2)
        assert f"--{flag.partition('=')[0]} means nothing to a run with --modality={kind}" in told
