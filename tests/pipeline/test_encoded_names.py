"""Codes say which file, and which piece of it, each is of."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from vq_vae_tf import config
from vq_vae_tf.build import build_vqvae
from vq_vae_tf.build_audio import build_audio_vqvae
from vq_vae_tf.codes import open_codes
from vq_vae_tf.errors import UserError
from vq_vae_tf.modalities.audio.folder import open_folder
from vq_vae_tf.modalities.audio.wav import read_sound, write_wav
from vq_vae_tf.modalities.image.folder import open_folder as open_pictures
from vq_vae_tf.modalities.image.pictures import read_picture
from vq_vae_tf.modalities.video.folder import open_folder as open_films
from vq_vae_tf.pipeline.audio import AudioModality
from vq_vae_tf.pipeline.image import ImageModality
from vq_vae_tf.pipeline.imagining import write_video_codes

RATE, WINDOW = 4000, 256


def check_each_under_its_name(codes, alone):
    """`alone`: name -> codes of that one. Batches may round otherwise, so: nothing is nearer than what has the name."""
    found = {}
    for split in codes.sizes:
        maps = np.concatenate([batch["codes"].numpy() for batch in codes.examples(split, 3)])
        found |= dict(zip(codes.names(split), maps, strict=True))
    assert set(found) == set(alone)
    different = {np.asarray(there).tobytes() for there in alone.values()}
    assert len(different) > 0.8 * len(alone), "codes tell files apart"
    for name, map_ in found.items():
        equal = {other: float(np.mean(map_ == np.asarray(there))) for other, there in alone.items()}
        assert equal[name] == max(equal.values()) > 0.9


def squares(random):
    """A picture whose codes are its own: flat squares of all colours, uint8 `[16, 16, 3]`."""
    return random.integers(0, 256, (4, 4, 3)).astype(np.uint8).repeat(4, 0).repeat(4, 1)


@pytest.fixture(scope="module")
def vqvae():
    """Of pictures of 16x16, not trained."""
    keras.utils.set_random_seed(0)
    sizes = {
        "units": 16,
        "residual_units": 8,
        "residual_blocks": 1,
        "num_embeddings": 16,
        "embedding_dim": 8,
        "data_variance": 0.05,
    }
    return build_vqvae(config.replace(config.Config(), **sizes), (16, 16, 3))


def test_pictures(vqvae, picture_folder, tmp_path):
    random = np.random.default_rng(0)
    folder = picture_folder(10, lambda: squares(random))
    ImageModality().write_codes(vqvae, "d" * 64, open_pictures(folder, 16, 3, False, 0), tmp_path / "codes")
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*.png")}
    alone = {name: vqvae.encode(read_picture(path, (16, 16, 3), "x")[None])[0] for name, path in files.items()}
    assert len(alone) == 20
    check_each_under_its_name(open_codes(tmp_path / "codes"), alone)


def test_pieces_of_sounds(tmp_path):
    random = np.random.default_rng(0)
    for speaker in ("ann", "bob"):
        for take in range(3):
            write_wav(tmp_path / "in" / speaker / f"1_{take}.wav", random.uniform(-0.9, 0.9, 200 + 130 * take), RATE)
    keras.utils.set_random_seed(0)
    values = {"audio_decoder": "spectral", "audio_strides": "2,4", "window": WINDOW, "units": 8, "residual_units": 4}
    vqvae = build_audio_vqvae(config.replace(config.Config(), **values), 2)
    data = open_folder(tmp_path / "in", RATE, WINDOW)
    AudioModality().write_codes(vqvae, "d" * 64, data, tmp_path / "codes")
    alone = {}
    for speaker in ("ann", "bob"):
        for take, pieces in enumerate((1, 2, 2)):
            sound = np.pad(read_sound(tmp_path / "in" / speaker / f"1_{take}.wav", RATE), (0, WINDOW))
            for i in range(pieces):
                x = tf.constant(sound[None, i * WINDOW : (i + 1) * WINDOW], tf.float32)
                alone[f"{speaker}/1_{take}.wav" + f"#{i}" * (pieces > 1)] = vqvae.encode(x)[0]
    check_each_under_its_name(open_codes(tmp_path / "codes"), alone)


def test_clips_of_films(vqvae, tmp_path):
    random, alone = np.random.default_rng(0), {}
    for episode, count in enumerate((2, 5, 4)):
        frames = np.stack([squares(random) for _ in range(count)])
        (tmp_path / "in" / f"e{episode}").mkdir(parents=True)
        for i, frame in enumerate(frames):
            (tmp_path / "in" / f"e{episode}" / f"{i}.png").write_bytes(tf.io.encode_png(frame).numpy())
        for i in range(count // 2):
            alone[f"e{episode}" + f"#{i}" * (count > 2)] = vqvae.encode(frames[2 * i : 2 * i + 2])
    write_video_codes(vqvae, "d" * 64, open_films(tmp_path / "in", 0, 2), tmp_path / "codes")
    check_each_under_its_name(open_codes(tmp_path / "codes"), alone)
    with pytest.raises(UserError, match="do not say which files"):
        open_codes(tmp_path / "codes" / "actions").names("train")
