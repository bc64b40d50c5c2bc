"""Speech of TFDS by name, written by the real builders out of made-up sounds."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow_datasets as tfds

from vq_vae_tf.errors import UserError
from vq_vae_tf.modalities.audio import source
from vq_vae_tf.modalities.audio.tfds_source import open_tfds


def prepared(monkeypatch, name, data_dir, examples, split="train"):
    """Has TFDS's builder write these examples in place of what it would download."""
    tfds.disable_progress_bar()
    numbered = {split: list(enumerate(examples))}
    monkeypatch.setattr(tfds.builder_cls(name), "_split_generators", lambda self, manager, *rest: numbered)
    tfds.builder(name, data_dir=data_dir).download_and_prepare()


def tone(level, length=400):
    return np.full(length, 1000 * level, np.int16)


def test_spoken_digits_come_by_speaker_and_take(tmp_path, monkeypatch):
    who = ("theo", "jackson")
    examples = [
        {"audio": tone(1 + s).astype(np.int64), "label": d, "audio/filename": f"{d}_{name}_{take}.wav"}
        for s, name in enumerate(who)
        for d in range(2)
        for take in range(3)
    ]
    prepared(monkeypatch, "spoken_digit", tmp_path, examples)
    data = open_tfds("spoken_digit", tmp_path, 8000, 100, "takes:1", validation_size=2)
    assert data.class_names == ("jackson", "theo")
    assert set(data.recordings["test"].names) == {f"{n}/{d}_0" for n in who for d in range(2)}
    assert data.sizes == {"train": 6 * 4, "validation": 2 * 4, "test": 4 * 4}
    for batch in data.examples("train", 5):
        np.testing.assert_allclose(batch["x"][:, 0] * 32768, 1000.0 * (2 - batch["label"].numpy()))


def test_vctk_is_brought_to_the_rate_and_librispeech_goes_by_numbers(tmp_path, monkeypatch):
    names = tfds.builder_cls("vctk")(data_dir=tmp_path).info.features["speaker"].names
    spoken = {"accent": 0, "gender": 0, "text": ""}
    examples = [{**spoken, "id": f"r{i}", "speaker": names[i % 2], "speech": tone(1 + i % 2, 4800)} for i in range(40)]
    prepared(monkeypatch, "vctk", tmp_path, examples)
    data = open_tfds("vctk", tmp_path, 16000, 1600, "hash", max_examples=8)
    assert data.class_names == tuple(sorted(names[:2]))
    assert data.sizes["train"] == 8
    assert set(data.recordings["train"].labels.tolist()) == {0, 1}
    assert all(len(data.recordings["train"].sound(i)) == 1600 for i in range(8))
    read = [
        {"chapter_id": 1, "id": f"7-{i}", "speaker_id": 7 + i % 2, "speech": tone(1), "text": ""} for i in range(10)
    ]
    prepared(monkeypatch, "librispeech", tmp_path, read, split="train_clean100")
    data = open_tfds("librispeech", tmp_path, 16000, 100, "speakers:8")
    assert data.recordings["test"].names == tuple(f"8/7-{i}" for i in range(1, 10, 2))
    monkeypatch.setattr(source, "MEMORY_BYTES", 6 * 800)
    with pytest.raises(UserError, match="give --max_examples=3 or fewer"):
        open_tfds("librispeech", tmp_path, 16000, 100, "speakers:8")


def test_a_data_set_without_speech_is_refused(tmp_path, monkeypatch):
    images = [{"image": np.zeros((28, 28, 1), np.uint8), "label": 0}]
    prepared(monkeypatch, "mnist", tmp_path, images)
    with pytest.raises(UserError, match="expected one of speech, audio"):
        open_tfds("mnist", tmp_path, 16000, 100)
