"""Opening a folder says how far it is where somebody looks on, and nothing into a file within half a minute."""

from __future__ import annotations

import io
import re
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from vq_vae_tf import progress
from vq_vae_tf.errors import UserError
from vq_vae_tf.modalities.audio.folder import open_folder as open_sounds
from vq_vae_tf.modalities.audio.wav import write_wav
from vq_vae_tf.modalities.image.folder import open_folder as open_pictures
from vq_vae_tf.modalities.video.folder import open_folder as open_video


class Terminal(io.StringIO):
    def isatty(self):
        return True


def write_pictures(folder, count):
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        (folder / f"{i}.png").write_bytes(tf.io.encode_png(np.full((8, 8, 3), i, np.uint8)).numpy())


def pictures(root):
    write_pictures(root, 70)
    return lambda: open_pictures(root, 8, 5, False, 0), 70


def sounds(root):
    for speaker in ("ann", "bob"):
        for take in range(6):
            write_wav(root / speaker / f"1_{take}.wav", np.zeros(50), 8000)
    return lambda: open_sounds(root, 8000, 64, "takes:2", 2, max_examples=3), 3 + 2 + 3


def frames(root):
    for episode in range(3):
        write_pictures(root / f"e{episode}", 5)
    return lambda: open_video(root, 0, 2), 3 * 4  # the fifth frame is in no clip


def films(root):
    root.mkdir()
    for episode in range(3):
        first, *others = (Image.fromarray(np.full((8, 8, 3), 9 * i, np.uint8)) for i in range(4))
        first.save(root / f"e{episode}.gif", save_all=True, append_images=others, duration=100)
    return lambda: open_video(root, 0, 2), 3


@pytest.mark.parametrize("kind", [pictures, sounds, frames, films])
def test_every_file_that_is_read_is_counted(kind, tmp_path, monkeypatch):
    opened, count = kind(tmp_path / "in")
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_CHANGES", 0.0)
    monkeypatch.setattr(sys, "stderr", Terminal())
    opened()
    written = sys.stderr.getvalue()
    assert written.endswith("\n")
    lines = written.removesuffix("\n").split("\r")[1:]
    assert [line.split()[:2] for line in lines] == [["read", f"{i}/{count}"] for i in range(1, count + 1)]
    assert all(re.search(r"\d/s  \S+ left", line) for line in lines[1:])
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    opened()
    assert sys.stderr.getvalue() == ""


def test_the_line_ends_before_what_is_wrong_is_told(tmp_path, monkeypatch):
    opened, _ = films(tmp_path / "in")
    (tmp_path / "in" / "e1.gif").write_bytes(b"no film")
    monkeypatch.setattr(sys, "stderr", Terminal())
    with pytest.raises(UserError, match=r"e1\.gif is no readable video") as told:  # keeps what has been reading alive
        opened()
    assert (told.type, sys.stderr.getvalue()) == (UserError, "\rread  1/3\n")
