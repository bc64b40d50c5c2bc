"""The whole chain on synthetic voices: two speakers with tones of their own."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from vq_vae_tf import config
from vq_vae_tf.build_audio import build_audio_vqvae
from vq_vae_tf.build_network import SEVERAL_CODES
from vq_vae_tf.commands import convert, sample, train
from vq_vae_tf.errors import UserError
from vq_vae_tf.modalities.audio.folder import open_folder
from vq_vae_tf.modalities.audio.wav import read_sound, write_wav
from vq_vae_tf.pipeline.audio import AudioModality
from vq_vae_tf.pipeline.conversion import convert as converted
from vq_vae_tf.pipeline.conversion import convert_file
from vq_vae_tf.pipeline.phonemes import check_phones
from vq_vae_tf.serving.audio import AudioEndpoints

RATE, WINDOW = 4000, 256
SMALL = (
    "units=16 residual_units=8 residual_blocks=1 num_embeddings=16 embedding_dim=8 steps=12 batch_size=4 prior=wavenet "
    "prior_units=8 prior_layers=2 prior_steps=6 prior_batch_size=4 prior_warmup_steps=2 eval_batch_size=4 log_every=5 "
    "checkpoint_every=10 learning_rate=1e-3 audio_strides=2,2,4 wavenet_units=8 wavenet_layers=2 wavenet_cycle=2 "
    f"sample_rate={RATE} window={WINDOW} modality=audio audio_holdout=takes:1"
)


@pytest.fixture(scope="module")
def voices(tmp_path_factory):
    folder = tmp_path_factory.mktemp("voices")
    for pitch, speaker in ((300, "high"), (120, "low")):
        for take in range(4):
            t = np.arange(300 + 40 * take) / RATE
            write_wav(folder / speaker / f"{1 + take % 2}_{take}.wav", 0.5 * np.sin(2 * np.pi * pitch * t), RATE)
    return folder


def call(monkeypatch, module, name, *argv):
    monkeypatch.setattr(sys, "argv", [name, *argv])
    return module.main()


OF_DECODER = {
    "spectral": [],
    "wavenet": ["--wavenet_hop=8", "--wavenet_temperature=0.8"],
    "logmel": ["--audio_input=logmel", "--audio_strides=16", "--conversion_weight=0.1", "--said_weight=0.1"],
}


def trained(monkeypatch, decoder, voices, workdir, *flags):
    typed = [f"--{part}" for part in SMALL.split()] + OF_DECODER[decoder] + [f"--audio_decoder={decoder}", *flags]
    assert call(monkeypatch, train, "train", *typed, f"--dataset=folder:{voices}", f"--workdir={workdir}") == 0


def test_log_mels_are_coded_and_said_by_another(voices, tmp_path, monkeypatch):
    workdir, said = tmp_path / "run", tmp_path / "said.wav"
    trained(monkeypatch, "logmel", voices, workdir, "--stages=vqvae,evaluate")
    assert json.loads((workdir / "evaluation.json").read_text())["num_examples"] == 4
    assert (workdir / "report.html").read_text().count("<audio") == 2 * 4
    asked = [f"--workdir={workdir}", f"--input={voices / 'high' / '2_3.wav'}", f"--output={said}", "--speaker=low"]
    assert call(monkeypatch, convert, "convert", *asked) == 0
    assert read_sound(said, RATE).shape == (420,)


@pytest.mark.parametrize("decoder", ["spectral", "wavenet"])
def test_train_evaluate_sample_export(decoder, voices, tmp_path, monkeypatch):
    workdir = tmp_path / "run"
    trained(monkeypatch, decoder, voices, workdir)
    scores = json.loads((workdir / "evaluation.json").read_text())
    assert scores["num_examples"] == 4  # takes 0 of two speakers, 300 samples each: two windows
    assert scores["code_bits_per_second"] == 4 * RATE / 16
    assert (workdir / "report.html").read_text().count("<audio") == 2 * 4 + 2
    assert read_sound(workdir / "samples" / "samples-low.wav", RATE).shape == (WINDOW,)
    monkeypatch.setattr(AudioModality, "open_data", None)  # the data is not needed to speak
    assert (
        call(monkeypatch, sample, "sample", f"--workdir={workdir}", "--classes=low", f"--output={tmp_path}/a.wav") == 0
    )
    assert read_sound(tmp_path / "a-low.wav", RATE).shape == (WINDOW,)
    length = [f"--workdir={workdir}", "--seconds=0.2", "--sample_seed=-3", f"--output={tmp_path}/long.wav"]
    assert call(monkeypatch, sample, "sample", *length) == 0
    long = read_sound(tmp_path / "long-low.wav", RATE)
    assert long.shape == (800,)
    spoken, said = str(voices / "high" / "2_3.wav"), tmp_path / "said.wav"
    asked = [f"--workdir={workdir}", f"--input={spoken}", f"--output={said}"]
    assert call(monkeypatch, convert, "convert", *asked, "--speaker=low") == 0
    assert read_sound(said, RATE).shape == (420,)
    assert call(monkeypatch, convert, "convert", *asked, "--speaker=eve") == 2
    model = tf.saved_model.load(str(workdir / "export" / "model" / "1"))
    x = tf.random.stateless_uniform((1, 331), (1, 2), -0.5, 0.5)
    speaker = tf.constant([1])
    made = model.signatures["reconstruct"](audio=x, speaker=speaker)["audio"]
    assert made.shape == x.shape
    codes = model.signatures["encode"](audio=x)["codes"]
    again = model.signatures["decode"](codes=codes, speaker=speaker)["audio"][:, : x.shape[1]]
    np.testing.assert_allclose(made, again, atol=1e-5)
    asked = {"seed": tf.constant(-3), "speaker": tf.constant([0, 1]), "temperature": tf.constant(1.0)}
    drawn = model.signatures["sample"](seconds=tf.constant(0.2), **asked)
    assert drawn["codes"].shape == (2, 50)
    np.testing.assert_allclose(drawn["audio"][1], long, atol=2e-4)  # a WAV file has 16 bits
    other = model.signatures["reconstruct"](audio=x, speaker=tf.constant([0]))["audio"]
    assert np.abs(made - other).max() > 1e-4
    with pytest.raises(tf.errors.InvalidArgumentError, match="speaker"):
        model.signatures["decode"](codes=codes, speaker=tf.constant([2]))


SPECTRAL = {"audio_decoder": "spectral", "audio_strides": "2,2"}
CENTRED = {"audio_decoder": "logmel", "audio_input": "logmel", "audio_strides": "40,2", "sample_rate": RATE}


# Griffin and Lim's phases are chaotic where a spectrum is near zero: there they make much of a rounding between parts.
@pytest.mark.parametrize(
    ("values", "time", "chunk", "chaotic"), [(SPECTRAL, 2003, 50, 0.0), (CENTRED, 40_003, 100, 0.05)]
)
def test_chunks_give_what_the_whole_gives(values, time, chunk, chaotic):
    keras.utils.set_random_seed(0)
    sizes = {"window": 80, "residual_blocks": 3, "units": 8, "residual_units": 4}
    vqvae = build_audio_vqvae(config.replace(config.Config(), **sizes, **values), 2)
    x = np.random.default_rng(0).uniform(-1, 1, time).astype(np.float32) * np.linspace(0.01, 1, time, dtype=np.float32)
    whole = converted(vqvae, x, 1, 80, chunk=10_000)
    assert whole.shape == x.shape
    difference = np.abs(converted(vqvae, x, 1, 80, chunk=chunk) - whole)
    assert (difference > 2e-4 * np.abs(whole).max()).mean() <= chaotic
    assert difference.mean() <= 0.02 * np.abs(whole).mean()
    assert converted(vqvae, x[:3], 1, 80).shape == (3,)


def test_what_cannot_be_converted_is_refused_before_the_work(tmp_path):
    write_wav(tmp_path / "a.wav", np.zeros(50), RATE)
    data = SimpleNamespace(class_names=("low",), rate=RATE)
    run = SimpleNamespace(config=SimpleNamespace(data=SimpleNamespace(modality="audio")), known=data)
    for output, said in {
        "a.flac": "ends in .wav",
        "a.wav": "is the sound itself",
        "a.wav/b.wav": "cannot be written",
    }.items():
        with pytest.raises(UserError, match=said):
            convert_file(run, tmp_path / "a.wav", "low", tmp_path / output)


def test_each_window_of_a_wavenet_has_noise_of_its_own_and_is_that_of_the_export():
    keras.utils.set_random_seed(0)
    sizes = {
        "window": 80,
        "residual_blocks": 1,
        "units": 8,
        "residual_units": 4,
        "wavenet_units": 4,
        "wavenet_layers": 2,
    }
    vqvae = build_audio_vqvae(config.replace(config.Config(), **sizes, audio_strides="2,2"), 2)
    made = converted(vqvae, np.zeros(330, np.float32), 1, 80)
    assert made.shape == (330,)
    windows = made[:320].reshape(4, 80)
    assert len({window.tobytes() for window in windows}) == 4
    served = AudioEndpoints(vqvae, None, 80, RATE, 2).reconstruct(tf.zeros((1, 330)), tf.constant([1]))["audio"]
    np.testing.assert_allclose(served[0, :240], made[:240], atol=1e-6)  # its last window is filled up otherwise


def test_several_codes_at_a_place_and_frames_that_hear_nothing_are_refused():
    for name in SEVERAL_CODES:
        with pytest.raises(UserError, match=f"--quantizer={name} gives several codes at each place"):
            build_audio_vqvae(config.replace(config.Config(), quantizer=name), 2)
    with pytest.raises(UserError, match=r"5 samples tell nothing of 3\d of 40 bands; give a larger first stride"):
        build_audio_vqvae(config.replace(config.Config(), audio_input="logmel"), 2)


def test_labels_that_cannot_be_read_are_told_before_the_sounds_are_decoded(tmp_path):
    for speaker in ("a", "b"):
        write_wav(tmp_path / speaker / "0_0.wav", np.zeros(50), RATE)
        write_wav(tmp_path / speaker / "1_1.wav", np.zeros(50), RATE)
    data = open_folder(tmp_path, RATE, 80, "takes:1")
    check_phones(data, "test")
    (tmp_path / "b" / "1_1.lab").write_text("what was said")
    with pytest.raises(UserError, match=r"1_1.lab, line 1: 'what was said' is no label.* move the file away"):
        check_phones(data, "test")


def test_another_folder_is_read_whole_whatever_the_run_was_trained_on(tmp_path):
    for take in range(5):
        write_wav(tmp_path / "a" / f"{take}.wav", np.zeros(50), RATE)
    (tmp_path / "a" / "broken.wav").write_bytes(b"")
    settings = config.replace(config.Config(), max_examples=2, strict=True, sample_rate=RATE, window=80)
    other = AudioModality().open_other(SimpleNamespace(config=settings), f"folder:{tmp_path}")
    assert sum(len(part.names) for part in other.recordings.values()) == 5


def test_a_map_that_does_not_divide_a_code_is_refused():
    flags = {"audio_strides": "2,2,4", "window": 80, "wavenet_hop": 3}
    with pytest.raises(UserError, match="--wavenet_hop=3 does not divide the 16 samples of a code"):
        build_audio_vqvae(config.replace(config.Config(), **flags), 2)


class FakeModel(SimpleNamespace):
    __hash__ = object.__hash__


def test_two_hours_are_heard_a_part_at_a_time():
    heard = []

    def encode(x):
        heard.append(x.shape[1])
        return tf.zeros((1, x.shape[1] // 64), tf.int32)

    vqvae = FakeModel(
        encode=encode,
        decode=lambda codes, condition: tf.zeros((1, tf.shape(codes)[1] * 64)),
        encoder=SimpleNamespace(hop=64, residual_blocks=2, strides=(2,) * 6),
        decoder=SimpleNamespace(residual_blocks=2),
        likelihood=None,
    )
    made = converted(vqvae, np.zeros(2 * 3600 * 8000, np.float32), 0, 64)
    assert made.shape == (2 * 3600 * 8000,)
    assert max(heard) < 20 * 8000


@pytest.mark.parametrize("length", [1, 200, 5000])
@pytest.mark.parametrize("values", [SPECTRAL, CENTRED], ids=["spectral", "logmel"])
def test_silence_clipping_and_a_click_come_back_finite_and_whole(values, length):
    sizes = {"window": 80, "residual_blocks": 1, "units": 8, "residual_units": 4}
    vqvae = build_audio_vqvae(config.replace(config.Config(), **sizes, **values), 2)
    for x in (np.zeros(length), np.sign(np.sin(np.arange(length))), np.eye(1, length)[0]):
        made = converted(vqvae, x.astype(np.float32), 0, 80)
        assert made.shape == (length,)
        assert np.isfinite(made).all()
        assert np.abs(made).max() <= 1.0
