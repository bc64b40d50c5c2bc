"""Label files: TIMIT's, HTK's and Festival's, in samples of the sound as it is read."""

from __future__ import annotations

import numpy as np
import pytest

from vq_vae_tf.errors import UserError
from vq_vae_tf.modalities.audio.phones import find_phones, read_phones
from vq_vae_tf.modalities.audio.wav import write_wav

EXPECTED = [(0, 800, "h#"), (800, 1200, "ae")]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.phn", "0 1600 h#\n1600 2400 ae\n"),  # 16 kHz where there is no sound beside it
        ("a.lab", "0 1000000 h#\n1000000 1500000 ae\n\n"),
        ("a.lab", "0.0 0.1 h#\n0.1 0.15 ae\n"),
        ("a.lab", "0 0.1 h#\n0.1 0.15 ae\n"),
        ("a.lab", "separator ;\nnfields 1\n#\n0.1 125 h#\n0.15 125 ae\n"),
    ],
)
def test_every_format_gives_the_same_samples(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    assert find_phones(tmp_path / "a.wav") == tmp_path / name
    assert read_phones(tmp_path / name, 8000) == EXPECTED


def test_phn_counts_samples_of_its_own_file(tmp_path):
    write_wav(tmp_path / "a.wav", np.zeros(2400), 8000)
    (tmp_path / "a.phn").write_text("0 800 h#\n800 1200 ae\n")
    assert read_phones(tmp_path / "a.phn", 8000) == EXPECTED
    assert read_phones(tmp_path / "a.phn", 16000)[1] == (1600, 2400, "ae")


@pytest.mark.parametrize("line", ["12", "0 x ae", "5 3 ae", "0 inf ae", "-1 2 ae"])
def test_a_line_that_is_no_label_is_named(tmp_path, line):
    (tmp_path / "a.phn").write_text(f"0 5 h#\n{line}\n")
    with pytest.raises(UserError, match=r"a\.phn, line 2"):
        read_phones(tmp_path / "a.phn", 16000)


def test_no_label_file(tmp_path):
    assert find_phones(tmp_path / "a.wav") is None
