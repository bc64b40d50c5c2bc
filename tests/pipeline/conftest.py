from __future__ import annotations

import contextlib
import importlib
import io
import sys

import numpy as np
import pytest
import tensorflow as tf

from vq_vae_tf.commands import train


@pytest.fixture(scope="session")
def run():
    """bin/train in this process: `run(*flags, status=0)`."""

    def of(*argv, status=0):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["train", *argv])
            assert train.main() == status

    return of


@pytest.fixture(scope="session")
def picture_folder(tmp_path_factory):
    """A folder of two classes: `picture_folder(count, picture)`, `picture()` being a uint8 `[height, width, 3]`."""

    def make(count, picture):
        folder = tmp_path_factory.mktemp("pictures")
        for name in ("a", "b"):
            (folder / name).mkdir()
            for i in range(count):
                (folder / name / f"{i}.png").write_bytes(tf.io.encode_png(picture()).numpy())
        return folder

    return make


SMALL = ["--flagfile=smoke.flags", "--steps=4", "--warmup_steps=0", "--batch_size=8", "--prior_steps=2",
         "--prior_warmup_steps=0", "--prior_batch_size=8", "--prior_layers=1", "--samples_per_class=1"]  # fmt: skip


def _command(name, *argv, status=0):
    told = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stderr(told):
        patch.setattr(sys, "argv", [name, *map(str, argv)])
        got = importlib.import_module(f"vq_vae_tf.commands.{name}").main()
    assert got == status, told.getvalue()
    assert "Traceback" not in told.getvalue()
    return told.getvalue()


@pytest.fixture(scope="session")
def command():
    """Any command in this process: `command(name, *flags, status=0)` gives what it told the user."""
    return _command


@pytest.fixture(scope="session")
def small():
    """Flags of a run of seconds on `pictures`."""
    return SMALL


@pytest.fixture(scope="session")
def pictures(picture_folder):
    """A folder of two classes of noise, 16x16."""
    random = np.random.default_rng(0)
    return picture_folder(10, lambda: random.integers(0, 256, (16, 16, 3)).astype(np.uint8))


@pytest.fixture(scope="session")
def finished_run(pictures, tmp_path_factory):
    """The folder of a run on `pictures` with all stages done. What changes it works on a copy."""
    workdir = tmp_path_factory.mktemp("finished") / "run"
    _command("train", *SMALL, f"--dataset=folder:{pictures}", f"--workdir={workdir}")
    return workdir
