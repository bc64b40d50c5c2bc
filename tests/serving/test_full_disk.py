"""An export into a disk that refuses: one sentence, and nothing is left of it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import keras
import pytest
import tensorflow as tf

from vq_vae_tf.disk import writing
from vq_vae_tf.errors import UserError
from vq_vae_tf.serving import export as export_module
from vq_vae_tf.serving import versions
from vq_vae_tf.serving.export import export_image_model
from vq_vae_tf.serving.versions import appearing

FULL = OSError(errno.ENOSPC, "No space left on device")
EXHAUSTED = tf.errors.ResourceExhaustedError(None, None, "m/1/variables; No space left on device")


def refusing(error):
    """Writes half of a file, then what a full disk says."""

    def refuse(*args, **kwargs):
        place = next(Path(a) for a in args if isinstance(a, (str, Path)))
        place.mkdir(parents=True, exist_ok=True)
        (place / "half").write_text("x", encoding="utf-8")
        raise error

    return refuse


@pytest.mark.parametrize(
    ("owner", "name", "error"),
    [
        (type(keras.export.ExportArchive()), "write_out", EXHAUSTED),
        (export_module, "write_json", FULL),
        (export_module, "write_warmup", EXHAUSTED),
        (versions, "_settle", FULL),
    ],
    ids=["model", "metadata", "warm-up", "settling"],
)
def test_a_full_disk_is_one_sentence_and_leaves_nothing(owner, name, error, vqvae, images, tmp_path, monkeypatch):
    monkeypatch.setattr(owner, name, refusing(error))
    monkeypatch.setattr(export_module, "verify", lambda *args: None)
    with pytest.raises(
        UserError,
        match=r"exports/small could not be written \(.*No space left on device\); .*make room or give write permission",
    ) as caught:
        export_image_model(vqvae, None, tmp_path / "exports", "small", images=images)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "exports").exists()


def test_what_is_no_fault_of_the_disk_is_not_called_one(tmp_path):
    """Too little memory is a `ResourceExhaustedError` too: only what writes is wrapped, not the block."""
    with pytest.raises(tf.errors.ResourceExhaustedError), appearing(tmp_path / "m" / "1"):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating a tensor")
    with pytest.raises(ZeroDivisionError), writing(tmp_path):
        _ = 1 / 0
    assert os.listdir(tmp_path) == []
