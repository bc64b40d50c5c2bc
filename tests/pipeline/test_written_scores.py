"""The files of an evaluation belong together, and a folder that refuses is found out before any work."""

from __future__ import annotations

import errno
import json
import tempfile
from dataclasses import asdict
from pathlib import Path

import pytest

from vq_vae_tf import config
from vq_vae_tf.config import Config
from vq_vae_tf.errors import UserError
from vq_vae_tf.evaluation.report import Report
from vq_vae_tf.pipeline import scoring, stages
from vq_vae_tf.pipeline.audio import AudioModality
from vq_vae_tf.pipeline.image import ImageModality
from vq_vae_tf.pipeline.run import Run
from vq_vae_tf.pipeline.scoring import check_writable, write_scores
from vq_vae_tf.pipeline.video_scoring import evaluate_video

PAGE = Report("run", "about it", [], [])
FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture(autouse=True)
def untrained(monkeypatch):
    """Scores of no model: the digests of its weights are made up."""
    monkeypatch.setattr(scoring, "model_digests", lambda run: {"vqvae": "0123"})


@pytest.fixture
def evaluated(tmp_path):
    """A run that has been evaluated before."""
    run = Run(Config(), tmp_path / "run")
    write_scores(run, {"psnr": 1.0}, PAGE, {run.reconstructions: b"old"})
    return run


def contents(run):
    return {path.name: path.read_bytes() for path in run.directory.iterdir() if path.is_file()}


def refuse(*args, **kwargs):
    raise FULL


def test_all_are_replaced(evaluated):
    before = contents(evaluated)
    assert set(before) == {"evaluation.json", "report.html", "reconstructions.png"}
    page = Report("run", "another", [], [])
    write_scores(evaluated, {"psnr": 2.0}, page, {evaluated.reconstructions: b"new"})
    after = contents(evaluated)
    scores = json.loads(after["evaluation.json"])
    assert scores.pop("measured") == {"digests": {"vqvae": "0123"}, "flags": asdict(Config().evaluation)}
    assert scores == {"psnr": 2.0}
    assert b"another" in after["report.html"]
    assert after["reconstructions.png"] == b"new"
    assert after.keys() == before.keys()


def test_what_was_scored_is_scored_again_only_where_it_would_be_another_score(evaluated, monkeypatch):
    monkeypatch.setattr(ImageModality, "evaluate", lambda self, run: "scored")
    assert stages.evaluate(evaluated) == f"already in {evaluated.evaluation}"
    other_split = Run(config.replace(evaluated.config, eval_split="train"), evaluated.directory)
    assert stages.evaluate(other_split) == "scored"
    monkeypatch.setattr(scoring, "model_digests", lambda run: {"vqvae": "4567"})
    assert stages.evaluate(evaluated) == "scored"
    monkeypatch.setattr(scoring, "model_digests", lambda run: {"vqvae": "0123"})
    assert stages.evaluate(evaluated) == f"already in {evaluated.evaluation}"
    evaluated.report.unlink()
    assert stages.evaluate(evaluated) == "scored"
    write_scores(evaluated, {"psnr": 1.0}, PAGE)
    evaluated.evaluation.write_text("{")
    assert stages.evaluate(evaluated) == "scored"


@pytest.mark.parametrize("name", ["evaluation.json", "report.html", "reconstructions.png"])
def test_a_disk_that_is_full_at_any_of_them_leaves_all_as_they_were(evaluated, name, monkeypatch):
    before = contents(evaluated)
    write, half = (Path.write_bytes, b"half") if name.endswith("png") else (Path.write_text, "half")

    def full(path, *args, **kwargs):
        if path.name.endswith(f".partial{Path(name).suffix}"):
            write(path, half)
            raise FULL
        return write(path, *args, **kwargs)

    monkeypatch.setattr(Path, write.__name__, full)
    with pytest.raises(UserError, match=rf"run/{name} could not be written \(No space left on device\)"):
        write_scores(evaluated, {"psnr": 2.0}, PAGE, {evaluated.reconstructions: b"new"})
    assert contents(evaluated) == before


@pytest.mark.parametrize("name", ["report.html", "reconstructions.png"])
def test_numbers_are_not_replaced_when_the_page_cannot_be(evaluated, name):
    before = contents(evaluated)
    (evaluated.directory / name).unlink()
    (evaluated.directory / name).mkdir()  # a folder in the place of the file: it is the renaming that fails
    with pytest.raises(UserError, match=rf"run/{name} could not be written \(Is a directory\)"):
        write_scores(evaluated, {"psnr": 2.0}, PAGE, {evaluated.reconstructions: b"new"})
    assert contents(evaluated)["evaluation.json"] == before["evaluation.json"]
    assert not list(evaluated.directory.glob(".*")), "a rest"


def test_the_check_leaves_nothing_and_refuses_what_cannot_be_written(evaluated, monkeypatch):
    before = contents(evaluated)
    check_writable(evaluated)
    assert contents(evaluated) == before
    with pytest.raises(UserError, match=r"nowhere could not be written \(No such file or directory\)"):
        check_writable(Run(Config(), evaluated.directory / "nowhere"))
    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    with pytest.raises(UserError, match=r"run could not be written \(No space left on device\)"):
        check_writable(evaluated)


class Sized:
    """Data of which nothing but the sizes may be asked for."""

    name, sizes = "sized", {"test": 3}

    def split(self, name):
        """Some that is there."""


@pytest.mark.parametrize(
    "evaluate",
    [
        lambda run: ImageModality().evaluate(run),
        lambda run: evaluate_video(run, None, None, None),
        lambda run: AudioModality().evaluate(run),
    ],
    ids=["image", "video", "audio"],
)
def test_every_modality_looks_before_it_scores(evaluate, evaluated, monkeypatch):
    monkeypatch.setitem(evaluated.__dict__, "data", Sized())
    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    with pytest.raises(UserError, match=r"run could not be written \(No space left on device\)"):
        evaluate(evaluated)
