"""Log-mel in and out, phone labels beside the sounds: accuracy in evaluation.json, the matrix in the report."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
import tensorflow as tf

from vq_vae_tf.commands import train
from vq_vae_tf.modalities.audio.folder import open_folder
from vq_vae_tf.modalities.audio.wav import read_sound, write_wav
from vq_vae_tf.pipeline.phonemes import labelled

RATE, HOP = 4000, 160
SMALL = (
    "units=16 residual_units=8 residual_blocks=1 num_embeddings=8 embedding_dim=4 steps=12 batch_size=4 "
    "eval_batch_size=4 learning_rate=1e-3 audio_input=logmel audio_decoder=logmel audio_strides=40,2,2 code_jitter=0.1 "
    f"sample_rate={RATE} window=640 modality=audio audio_holdout=speakers:bob"
)


@pytest.fixture
def spoken(tmp_path):
    """Two phones in turn, a low and a high tone, 400 samples each: `aa` and `iy`."""
    for speaker in ("ann", "bob", "cid"):
        for sentence in range(2):
            t = np.arange(400) / RATE
            tones = [0.4 * np.sin(2 * np.pi * f * t) for f in (200, 1200, 200, 1200)]
            write_wav(tmp_path / "data" / speaker / f"s{sentence}.wav", np.concatenate(tones), RATE)
            lines = [f"{400 * i} {400 * (i + 1)} {('aa', 'iy')[i % 2]}" for i in range(4)]
            (tmp_path / "data" / speaker / f"s{sentence}.phn").write_text("\n".join(lines))
    return tmp_path


def test_phones_are_scored_on_the_speaker_held_out(spoken, monkeypatch):
    workdir = spoken / "run"
    flags = [f"--{part}" for part in SMALL.split()]
    where = [f"--dataset=folder:{spoken}/data", f"--workdir={workdir}", "--stages=vqvae,evaluate,export"]
    monkeypatch.setattr(sys, "argv", ["train", *flags, *where])
    assert train.main() == 0
    phonemes = json.loads((workdir / "evaluation.json").read_text())["phonemes"]
    assert phonemes["frames"] == 2 * 10
    assert phonemes["classes"] == 39
    assert phonemes["entropy_bits"] == pytest.approx(-0.6 * np.log2(0.6) - 0.4 * np.log2(0.4))  # halves go to the first
    assert phonemes["accuracy"] >= 0.8  # two tones are told apart by almost any codes
    assert "Phones</h2>" in (workdir / "report.html").read_text()
    signatures = tf.saved_model.load(str(workdir / "export" / "model" / "1")).signatures
    sound = read_sound(spoken / "data" / "bob" / "s0.wav", RATE)[None]
    codes = signatures["encode"](audio=sound)["codes"].numpy()
    assert codes.shape == (1, 10)
    assert codes[0, 0] != codes[0, 3], "a low tone and a high one"


def test_frames_and_labels_stand_at_the_same_time(spoken):
    data = open_folder(spoken / "data", RATE, 640, "speakers:bob")

    def loudest(x):
        """0 for the low tone, 1 for the high one, by zero crossings."""
        frames = np.asarray(x).reshape(1, -1, HOP)
        return (np.abs(np.diff(np.sign(frames), axis=-1)).sum(-1) > 50).astype(int)

    codes, phones = labelled(data.recordings["test"], data.root, RATE, HOP, loudest)
    assert len(codes) == 2 * 10
    middle = np.arange(20) % 5 != 2  # frame 2 of 5 is half of each
    assert len(set(zip(codes[middle], phones[middle], strict=True))) == 2
    (spoken / "data/bob/s0.phn").unlink()
    (spoken / "data/bob/s1.phn").unlink()
    assert labelled(data.recordings["test"], data.root, RATE, HOP, loudest) is None
