"""The page of sounds shows pieces of all speakers, each under its own name."""

from __future__ import annotations

import base64
import html
import re

import numpy as np
import pytest
import tensorflow as tf

from vq_vae_tf.modalities.audio.source import AudioData, Recordings
from vq_vae_tf.modalities.audio.wav import read_sound, write_wav
from vq_vae_tf.pipeline.audio import SHOWN, _spread

RATE, WINDOW = 4000, 64
SMALL = (
    "units=8 residual_units=4 residual_blocks=1 num_embeddings=8 embedding_dim=4 steps=2 batch_size=4 warmup_steps=0 "
    "eval_batch_size=5 audio_strides=2,4 audio_decoder=spectral stages=vqvae,evaluate modality=audio "
    f"sample_rate={RATE} window={WINDOW} audio_holdout=takes:1"
)


@pytest.mark.parametrize("pieces", [[1], [20], [3, 2], [1, 30], [30, 1, 2], [2] * 8, [1] * 9, [7] * 40, [1, 9] * 20])
def test_speakers_share_what_is_shown_and_all_of_each_is_reached(pieces):
    labels = np.repeat(np.arange(len(pieces)), pieces)
    recordings = Recordings.of(
        [np.zeros(5 * n) for n in pieces], range(len(pieces)), list(map(str, range(len(pieces))))
    )
    rows = _spread(AudioData("x", RATE, 5, (), {"test": recordings}), "test", SHOWN)
    assert len(rows) == min(SHOWN, sum(pieces))
    assert (np.diff(rows) > 0).all()
    shares = np.bincount(labels[rows], minlength=len(pieces))
    if len(pieces) <= SHOWN:  # nobody has one more than another who has some left
        assert all(shares[i] >= min(shares.max() - 1, n) for i, n in enumerate(pieces))
    else:
        shown = np.flatnonzero(shares)
        assert shares.max() == 1
        assert (shown[0], shown[-1]) == (0, len(pieces) - 1)
        assert np.ptp(np.diff(shown)) <= 1
    for speaker in np.flatnonzero(shares > 1):
        of = rows[labels[rows] == speaker] - np.flatnonzero(labels == speaker)[0]
        assert (of[0], of[-1]) == (0, pieces[speaker] - 1)
        assert np.ptp(np.diff(of)) <= 1


def test_the_page_shows_a_piece_of_each_speaker_under_its_name(command, tmp_path):
    random, voices = np.random.default_rng(0), tmp_path / "voices"
    lengths = {"ann": 9, "bob": 3, "cid": 1, "dot": 2, "eve": 1}
    for speaker, length in lengths.items():
        for take in range(2):
            write_wav(voices / speaker / f"1_{take}.wav", random.uniform(-0.9, 0.9, length * WINDOW), RATE)
    flags = [f"--{part}" for part in SMALL.split()]
    command("train", *flags, f"--dataset=folder:{voices}", f"--workdir={tmp_path / 'run'}")
    page = (tmp_path / "run" / "report.html").read_text()
    figures = re.findall('<figcaption>([^<]*)</figcaption>.*?src="data:audio/wav;base64,([^"]*)"', page, re.DOTALL)
    names = [html.unescape(name).removesuffix(": original") for name, _ in figures[::2]]
    assert names == [
        "ann, 1_0.wav", "ann, 1_0.wav from 0.13 s", "bob, 1_0.wav", "bob, 1_0.wav from 0.03 s", "cid, 1_0.wav",
        "dot, 1_0.wav", "dot, 1_0.wav from 0.02 s", "eve, 1_0.wav",
    ]  # fmt: skip
    for name, (_, wav) in zip(names, figures[::2], strict=True):
        speaker, file, begin = re.fullmatch(r"(\w+), (\S+)(?: from (\S+) s)?", name).groups()
        shown = tf.audio.decode_wav(base64.b64decode(wav))[0][:, 0]
        first = WINDOW * round(float(begin or 0) * RATE / WINDOW)
        sound = read_sound(voices / speaker / file, RATE)[first : first + WINDOW]
        np.testing.assert_allclose(shown, sound, atol=2 / 32768)
