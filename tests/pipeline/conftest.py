from __future__ import annotations

import sys

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
