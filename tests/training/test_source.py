"""What was trained on codes of one model is not taken for another's."""

from __future__ import annotations

import json

import pytest

from vq_vae_tf.errors import UserError
from vq_vae_tf.training.source import SOURCE, check_source, claim_source


def test_the_first_claim_stands(tmp_path):
    claim_source(tmp_path / "prior", "a" * 64)
    claim_source(tmp_path / "prior", "a" * 64)
    check_source(tmp_path / "prior", "a" * 64)
    for refuse in (claim_source, check_source):
        with pytest.raises(UserError, match="codes of model aaaaaaaaaaaa, expected those of bbbbbbbbbbbb"):
            refuse(tmp_path / "prior", "b" * 64)


def test_a_folder_without_the_file_passes_and_workers_do_not_write(tmp_path):
    claim_source(tmp_path, "a" * 64, write=False)
    check_source(tmp_path, "b" * 64)
    assert not (tmp_path / SOURCE).exists()


@pytest.mark.parametrize("text", ["{", "[]", json.dumps({"codes": 1})])
def test_damage_is_named(tmp_path, text):
    (tmp_path / SOURCE).write_text(text)
    with pytest.raises(UserError, match=r"source\.json is damaged"):
        check_source(tmp_path, "a" * 64)
