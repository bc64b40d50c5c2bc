"""Folders of sounds: what is read, split, cut and refused."""

from __future__ import annotations

import contextlib
import importlib.util
import struct
import sys
import tempfile
import types
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from vq_vae_tf.errors import UserError
from vq_vae_tf.modalities.audio import source
from vq_vae_tf.modalities.audio.folder import open_folder
from vq_vae_tf.modalities.audio.wav import read_sound, read_wav, write_wav

RATE, WINDOW = 8000, 64
SOUNDS = Path(__file__).parent / "sounds"


def ramp(length: int, start: int = 1) -> np.ndarray:
    """Samples start, start + 1, ... of 32768: each says which it is."""
    return (start + np.arange(length)) / 32768.0


@pytest.fixture
def folder(tmp_path):
    for s, speaker in enumerate(("ann", "bob")):
        for digit in range(2):
            for take in range(3):
                write_wav(tmp_path / speaker / f"{digit}_{take}.wav", ramp(50 + 30 * take, 1 + 1000 * s), RATE)
    return tmp_path


def opened(folder, **options):
    return open_folder(folder, **{"rate": RATE, "window": WINDOW, "holdout": "takes:1", **options})


def test_the_first_takes_are_the_test_split(folder):
    data = opened(folder)
    assert data.class_names == ("ann", "bob")
    assert data.recordings["test"].names == ("ann/0_0.wav", "ann/1_0.wav", "bob/0_0.wav", "bob/1_0.wav")
    assert not set(data.recordings["test"].names) & set(data.recordings["train"].names)
    assert len(data.recordings["train"].names) == 8


def test_speakers_can_be_held_out_and_hashes_do_not_move(folder):
    data = opened(folder, holdout="speakers:bob")
    assert {n.split("/")[0] for n in data.recordings["test"].names} == {"bob"}
    for number in range(60):
        write_wav(folder / "ann" / f"more_{number}.wav", ramp(20), RATE)
    before = opened(folder, holdout="hash").recordings
    assert 3 <= len(before["test"].names) <= 15
    for number in range(9):
        write_wav(folder / "bob" / f"new_{number}.wav", ramp(70), RATE)
    after = opened(folder, holdout="hash").recordings
    assert set(before["test"].names) <= set(after["test"].names)
    assert set(before["train"].names) <= set(after["train"].names)


def test_examples_hold_every_sample_once_and_silence_behind(folder):
    data = opened(folder)
    batches = list(data.examples("train", 3))
    x = np.concatenate([b["x"].numpy() for b in batches])
    label = np.concatenate([b["label"].numpy() for b in batches])
    assert x.shape == (16, WINDOW) == (data.sizes["train"], WINDOW)
    np.testing.assert_array_equal(np.concatenate([x[0], x[1][:16]]), ramp(80).astype(np.float32))
    np.testing.assert_array_equal(x[1][16:], 0)
    np.testing.assert_array_equal(label, np.repeat([0, 1], 8))
    assert np.all((x[:, 0] * 32768 > 900) == (label == 1))


def test_crops_depend_on_seed_and_step_alone_and_differ_between_epochs(folder):
    data = opened(folder)

    def steps(seed, start, count):
        return [b["x"].numpy() for b in data.training_batches(4, seed, start).take(count)]

    whole = steps(3, 0, 6)
    np.testing.assert_array_equal(whole[2:], steps(3, 2, 4))
    assert not np.array_equal(whole[0], steps(4, 0, 1)[0])
    starts = {float(x[0]) for batch in steps(3, 0, 40) for x in batch}
    assert len(starts) > 10


def test_crops_are_parts_of_their_recording(folder):
    for batch in opened(folder).training_batches(4, 0).take(10):
        for x, label in zip(batch["x"].numpy(), batch["label"].numpy(), strict=True):
            x = np.rint(x * 32768)
            assert np.all(np.diff(x) == 1)
            assert x[0] >= 1 + 1000 * label


def test_short_sounds_stand_between_silence_and_are_whole(folder):
    data = opened(folder, window=256)
    for batch in data.training_batches(4, 0).take(5):
        heard = np.rint(batch["x"].numpy() * 32768)
        assert set((heard > 0).sum(1)) <= {80, 110}


def test_other_rates_and_stereo_are_made_to_fit(tmp_path):
    t = np.arange(16000) / 16000
    left = np.sin(2 * np.pi * 440 * t)
    stereo = np.stack([left, 0.5 * left], 1).astype(np.float32) * 0.5
    path = tmp_path / "stereo.wav"
    path.write_bytes(tf.audio.encode_wav(stereo, 16000).numpy())
    got = read_sound(path, RATE)
    assert got.shape == (8000,)
    np.testing.assert_allclose(
        got[100:-100], 0.375 * np.sin(2 * np.pi * 440 * np.arange(8000) / RATE)[100:-100], atol=1e-3
    )


def test_unreadable_files_are_left_out_and_counted_or_refused(folder):
    (folder / "ann" / "broken_9.wav").write_bytes(b"RIFF0000WAVEjunk")
    write_wav(folder / "bob" / "empty_9.wav", np.zeros(0), RATE)
    assert opened(folder).skipped == 2
    with pytest.raises(UserError, match="2 files cannot be read"):
        opened(folder, strict=True)


@pytest.mark.parametrize("holdout", ["takes", "takes:0", "takes:99", "speakers:eve", "half", "hash:3"])
def test_a_wrong_holdout_is_refused(folder, holdout):
    with pytest.raises(UserError, match="--audio_holdout"):
        opened(folder, holdout=holdout)


def test_a_folder_without_speakers_is_refused(tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        opened(tmp_path / "nothing")
    with pytest.raises(UserError, match="no WAV"):
        opened(tmp_path)
    write_wav(tmp_path / "loose.wav", ramp(10), RATE)
    with pytest.raises(UserError, match="no speaker's folder"):
        opened(tmp_path)


def test_unknown_codecs_and_coded_files_say_what_to_do(tmp_path):
    (tmp_path / "a.aiff").write_bytes(b"FORM")
    with pytest.raises(UserError, match="convert it"):
        read_sound(tmp_path / "a.aiff", RATE)
    with pytest.raises(UserError, match="no such file"):
        read_sound(tmp_path / "none.wav", RATE)


@pytest.mark.parametrize("suffix", [".flac", ".ogg", ".mp3"])
def test_without_tensorflow_io_other_codecs_say_what_to_install(suffix, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_io", None)
    (tmp_path / f"a{suffix}").write_bytes(b"some sound")
    with pytest.raises(UserError, match=r"needs tensorflow-io.*pip install"):
        read_sound(tmp_path / f"a{suffix}", RATE)


def test_a_tensorflow_io_that_does_not_load_is_named_and_not_the_file(tmp_path, monkeypatch):
    def loading(path):
        raise NotImplementedError("unable to open file: libtensorflow_io.so")

    installed = types.SimpleNamespace(audio=types.SimpleNamespace(AudioIOTensor=loading))
    monkeypatch.setitem(sys.modules, "tensorflow_io", installed)
    (tmp_path / "a.flac").write_bytes(b"some sound")
    with pytest.raises(UserError, match=rf"does not load on TensorFlow {tf.__version__}; .*pip install"):
        read_sound(tmp_path / "a.flac", RATE)


needs_codecs = pytest.mark.skipif(
    Version(tf.__version__) >= Version("2.18") or importlib.util.find_spec("tensorflow_io") is None,
    reason="tensorflow-io loads on TensorFlow 2.16 and 2.17 only",
)


@needs_codecs
@pytest.mark.parametrize("name", ["8bit.flac", "16bit.flac", "24bit.flac", "vorbis.ogg", "layer3.mp3"])
def test_coded_files_give_the_sine_that_was_written(name):
    """Two channels of 440 Hz, amplitudes 0.5 and 0.25, written with libsndfile 1.2.2; OGG and MP3 at 16 kHz."""
    x = read_sound(SOUNDS / name, RATE)
    assert len(x) == RATE // (8 if name == "24bit.flac" else 4)
    inner = slice(200, -200)  # the ends ring after lossy coding and resampling
    wave = np.exp(2j * np.pi * 440 * np.arange(len(x)) / RATE)[inner]
    phasor = 2 * np.mean(x[inner] * wave.conj())
    assert abs(phasor - -0.375j) < 0.02
    assert np.std(x[inner] - np.real(phasor * wave)) < 0.02


@needs_codecs
@pytest.mark.parametrize("name", ["16bit.flac", "vorbis.ogg", "layer3.mp3"])
@pytest.mark.parametrize("kept", [0, 40, 0.5])
def test_cut_coded_files_are_refused(name, kept, tmp_path):
    whole = (SOUNDS / name).read_bytes()
    path = tmp_path / name
    path.write_bytes(whole[: int(len(whole) * kept) if kept < 1 else kept])
    with pytest.raises(UserError, match=r"no readable .* file"):
        read_sound(path, RATE)


PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(128, 192))
NAMELESS = b"RIFF\x40\0\0\0WAVE" + b"\xff\xfe\xfd\xfc" * 16
"""What TensorFlow says of these quotes their bytes, which are no UTF-8."""


@pytest.mark.parametrize("content", [PICTURE, NAMELESS], ids=["picture", "nameless chunk"])
def test_what_is_no_sound_and_no_text_is_refused_and_left_out_of_a_folder(folder, content):
    path = folder / "ann" / "picture_9.wav"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"picture_9\.wav: no readable WAV file"):
        read_sound(path, RATE)
    data = opened(folder)
    assert data.skipped == 1
    assert sum(len(recordings.names) for recordings in data.recordings.values()) == 12


def test_numbers_that_are_none_and_wrong_headers_are_refused(tmp_path):
    path = tmp_path / "a.wav"
    write_wav(path, ramp(50), RATE)
    good = path.read_bytes()
    for bad in (good[:20], good[:4] + bytes(40), b"", good.replace(b"fmt ", b"fxt ")):
        path.write_bytes(bad)
        with pytest.raises(UserError, match=r"no readable WAV file .*convert it|no samples"):
            read_sound(path, RATE)
    for rate in (0, 1, 999, 768_001, 2**31 - 1):
        other_rate = bytearray(good)
        other_rate[24:28] = rate.to_bytes(4, "little")
        path.write_bytes(bytes(other_rate))
        with pytest.raises(UserError, match=f"header says {rate} samples per second, expected 1000 to 768000"):
            read_sound(path, RATE)


def riff(x, kind, bits, extensible=False, odd=False, pipe=False):
    """A WAV file of float samples `[time, channels]`."""
    full = {8: 128, 16: 2**15, 24: 2**23, 32: 2**31}[bits] if kind == 1 else 1
    whole = np.rint(np.float64(x) * full).clip(-full, full - 1)
    if kind == 3:
        body = x.astype(f"<f{bits // 8}").tobytes()
    elif bits == 8:
        body = (whole + 128).astype(np.uint8).tobytes()
    else:
        body = b"".join(int(v).to_bytes(bits // 8, "little", signed=True) for v in whole.ravel())
    channels, frame = x.shape[1], x.shape[1] * bits // 8
    form = struct.pack("<HHIIHH", 0xFFFE if extensible else kind, channels, RATE, RATE * frame, frame, bits)
    if extensible:
        form += struct.pack("<HHIH", 22, bits, 3, kind) + b"\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71"
    chunks = [(b"LIST", b"odd")] * odd + [(b"fmt ", form), (b"data", body)]
    parts = [name + (2**32 - 1 if pipe and name == b"data" else len(c)).to_bytes(4, "little") + c + b"\0" * (len(c) % 2)
             for name, c in chunks]  # fmt: skip
    content = b"WAVE" + b"".join(parts)
    return b"RIFF" + len(content).to_bytes(4, "little") + content


@pytest.mark.parametrize(
    ("kind", "bits", "near"),
    [(1, 8, 2**-7), (1, 16, 2**-15), (1, 24, 2**-22), (1, 32, 2**-22), (3, 32, 0), (3, 64, 0)],
)
@pytest.mark.parametrize("how", [{}, {"extensible": True}, {"odd": True}, {"pipe": True}], ids=str)
def test_wav_files_of_every_width_are_read(tmp_path, kind, bits, near, how):
    x = np.random.default_rng(0).uniform(-1, 1, (301, 2)).astype(np.float32)
    (tmp_path / "a.wav").write_bytes(riff(x, kind, bits, **how))
    found, rate = read_wav(tmp_path / "a.wav")
    assert rate == RATE
    np.testing.assert_allclose(found, x, atol=near, rtol=0)
    np.testing.assert_allclose(read_sound(tmp_path / "a.wav", RATE), x.mean(1), atol=near + 1e-7)


def test_tensorflow_reads_what_is_written_alike(tmp_path):
    write_wav(tmp_path / "a.wav", np.random.default_rng(0).uniform(-1, 1, 500), RATE)
    theirs, _ = tf.audio.decode_wav((tmp_path / "a.wav").read_bytes())
    np.testing.assert_array_equal(read_wav(tmp_path / "a.wav")[0], theirs)


@given(st.data())
def test_a_damaged_wav_file_is_one_sentence(data):
    content = bytearray(riff(np.linspace(-1, 1, 40, dtype=np.float32)[:, None], 1, 16))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, 47))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(0, len(content)))]
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        file.write(content), file.flush()
        with contextlib.suppress(UserError):
            assert np.isfinite(read_sound(Path(file.name), RATE)).all()


def test_some_recordings_are_of_all_speakers_and_too_much_sound_is_refused(tmp_path, monkeypatch):
    for speaker in "abcdefgh":
        for take in range(12):
            write_wav(tmp_path / speaker / f"{take}.wav", ramp(50), RATE)
    names = opened(tmp_path, holdout="hash", max_examples=40).recordings["train"].names
    assert len(names) == 40
    assert list(names) == sorted(names)
    assert {name[0] for name in names} == set("abcdefgh")
    monkeypatch.setattr(source, "MEMORY_BYTES", 30 * 100)
    with pytest.raises(UserError, match=r"31 recordings at 8000 .* give --max_examples=15 or fewer"):
        opened(tmp_path, holdout="hash")


def test_what_is_beyond_full_scale_is_clipped_and_five_hundredths_of_a_second_are_enough(tmp_path):
    write_wav(tmp_path / "loud.wav", 3 * np.sin(np.arange(RATE // 20)), RATE)
    got = read_sound(tmp_path / "loud.wav", RATE)
    assert got.shape == (RATE // 20,)
    assert np.abs(got).max() == pytest.approx(1.0, abs=1e-4)


def test_each_piece_has_the_name_of_its_file_and_its_number_where_there_are_several(folder):
    data = opened(folder)
    (batch,) = data.examples("train", 99)
    assert data.names["train"][:3] == ("ann/0_1.wav#0", "ann/0_1.wav#1", "ann/0_2.wav#0")  # 80 and 110 samples
    assert data.names["test"] == data.recordings["test"].names  # 50 samples: less than a window
    for name, x in zip(data.names["train"], batch["x"].numpy(), strict=True):
        file, _, piece = name.partition("#")
        sound = read_sound(folder / file, RATE)[int(piece) * WINDOW :][:WINDOW]
        np.testing.assert_array_equal(x[: len(sound)], sound)
        assert not x[len(sound) :].any()
