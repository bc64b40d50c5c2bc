from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from vq_vae_tf.errors import UserError
from vq_vae_tf.evaluation.reconstruction import data_variance
from vq_vae_tf.modalities.image.pictures import read_picture
from vq_vae_tf.pipeline.image import ImageModality
from vq_vae_tf.pipeline.modality import MODALITIES, Modality, modality


@pytest.mark.parametrize("name", MODALITIES)
def test_every_modality_can_be_asked_for(name):
    assert isinstance(modality(name), Modality)


def test_unknown_modality_is_one_sentence():
    with pytest.raises(UserError, match="--modality=smell is not known; choose one of image"):
        modality("smell")


def test_grey_runs_refuse_pictures_in_colour(tmp_path):
    (tmp_path / "a").mkdir()
    for number in range(20):
        path = tmp_path / "a" / f"{number}.png"
        path.write_bytes(tf.io.encode_png(np.zeros((28, 28, 3), np.uint8)).numpy())
    with pytest.raises(UserError, match=r"--complete=.*read in colour, but the run's images are grey"):
        read_picture(path, (28, 28, 1), "--complete")
    run = SimpleNamespace(
        known=SimpleNamespace(image_shape=(28, 28, 1)), config=SimpleNamespace(data=SimpleNamespace(data_dir=""))
    )
    with pytest.raises(UserError, match="has 3 channels, the run's images 1"):
        ImageModality().open_other(run, f"folder:{tmp_path}")


def test_pictures_of_one_colour_have_nothing_to_learn():
    with pytest.raises(UserError, match="one and the same colour"):
        data_variance([{"x": np.full((2, 4, 4, 3), 255, np.uint8)}] * 2)
