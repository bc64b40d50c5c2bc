"""TensorBoard hears what training hears."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from vq_vae_tf import config
from vq_vae_tf.build_audio import build_audio_vqvae
from vq_vae_tf.modalities.audio.folder import open_folder
from vq_vae_tf.modalities.audio.wav import write_wav
from vq_vae_tf.pipeline.audio_summaries import audio_summaries

RATE, WINDOW = 4000, 256


def test_sounds_spectrograms_and_codes_reach_the_event_file(tmp_path, events):
    for speaker in ("ann", "bob"):
        for take in range(2):
            write_wav(tmp_path / "data" / speaker / f"1_{take}.wav", np.linspace(-0.5, 0.5, WINDOW), RATE)
    data = open_folder(tmp_path / "data", RATE, WINDOW, "takes:1")
    values = {"audio_decoder": "spectral", "audio_strides": "2,4", "window": WINDOW, "units": 8, "residual_units": 4}
    model = build_audio_vqvae(config.replace(config.Config(), **values), 2)
    writer = tf.summary.create_file_writer(str(tmp_path / "events"))
    audio_summaries(data)(model, 7, writer)
    writer.close()
    found = events(tmp_path / "events")
    assert set(found) == {
        "original",
        "reconstruction",
        "spectrogram of original",
        "spectrogram of reconstruction",
        "codes",
    }
    step, sounds = found["original"]
    assert step == 7
    x, rate = tf.audio.decode_wav(tf.make_ndarray(sounds).reshape(-1)[0])
    assert rate == RATE
    np.testing.assert_allclose(x[:, 0], np.linspace(-0.5, 0.5, WINDOW), atol=1e-4)
