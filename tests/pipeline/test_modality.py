from __future__ import annotations

import pytest

from vq_vae_tf.errors import UserError
from vq_vae_tf.pipeline.modality import MODALITIES, Modality, modality


@pytest.mark.parametrize("name", MODALITIES)
def test_every_modality_can_be_asked_for(name):
    assert isinstance(modality(name), Modality)


def test_unknown_modality_is_one_sentence():
    with pytest.raises(UserError, match="--modality=smell is not known; choose one of image"):
        modality("smell")
