"""A VQ-VAE trained by plain `fit` elsewhere becomes the run's own."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
import tensorflow as tf

from vq_vae_tf.codes import open_codes
from vq_vae_tf.commands import handover, train
from vq_vae_tf.errors import UserError
from vq_vae_tf.pipeline.loading import load_vqvae
from vq_vae_tf.pipeline.run import open_run
from vq_vae_tf.plain_fit import Schedule, fit_packed
from vq_vae_tf.training.optimizer import learning_rate
from vq_vae_tf.training.options import TrainingOptions


def run(command, *argv, status=0):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["command", *argv])
        assert command.main() == status


@pytest.fixture
def flags(tmp_path):
    (tmp_path / "data" / "a").mkdir(parents=True)
    for i in range(20):
        picture = np.random.default_rng(i).integers(0, 256, (8, 8, 3)).astype(np.uint8)
        (tmp_path / "data" / "a" / f"{i}.png").write_bytes(tf.io.encode_png(picture).numpy())
    small = ["--image_size=8", "--downsamplings=1", "--steps=6"]
    return ["--flagfile=smoke.flags", f"--dataset=folder:{tmp_path / 'data'}", f"--workdir={tmp_path / 'run'}", *small]


def test_there_and_back(flags, tmp_path, capsys):
    run(handover, *flags, "--back", status=2)
    assert "holds no trained weights" in capsys.readouterr().err
    run(handover, *flags)
    folder = tmp_path / "run" / "handover"
    images = open_run(str(tmp_path / "run")).data.sizes["train"]
    assert np.load(folder / "x.npy").shape == (images, 8, 8, 3)
    fit_packed(folder, verbose=0)
    weights = folder / "fitted.weights.h5"
    content = weights.read_bytes()
    weights.write_bytes(content[:-1])
    run(handover, *flags, "--back", status=2)
    assert "damaged" in capsys.readouterr().err
    weights.write_bytes(content)
    run(handover, *flags, "--back")
    vqvae, digest = load_vqvae(open_run(str(tmp_path / "run")))
    expected = [np.array(v) for v in vqvae.weights]
    vqvae.load_weights(weights)
    for ours, theirs in zip(expected, vqvae.weights, strict=True):
        np.testing.assert_array_equal(ours, np.array(theirs))
    run(train, *flags, "--stages=vqvae,codes")
    assert open_codes(tmp_path / "run" / "codes").manifest.model_digest == digest
    for once_more in ([], ["--back"]):
        run(handover, *flags, *once_more, status=2)
        assert "finished training already" in capsys.readouterr().err


def test_what_came_back_of_an_earlier_packing_is_not_taken(flags, tmp_path, capsys):
    run(handover, *flags)
    folder = tmp_path / "run" / "handover"
    fit_packed(folder, verbose=0)
    run(handover, *flags)
    assert not (folder / "fitted.json").exists()
    run(handover, *flags, "--back", status=2)
    assert "holds no trained weights" in capsys.readouterr().err


def test_batches_larger_than_the_data_are_refused_by_both(flags, tmp_path, capsys):
    run(handover, *flags, "--batch_size=64", status=2)
    assert "--batch_size=64 is more than the" in capsys.readouterr().err
    run(handover, *flags, f"--workdir={tmp_path / 'other'}")
    folder = tmp_path / "other" / "handover"
    options = json.loads((folder / "options.json").read_text())
    (folder / "options.json").write_text(json.dumps(options | {"batch_size": 64}))
    with pytest.raises(UserError, match="batch_size=64 is more than the"):
        fit_packed(folder, verbose=0)
    for damaged in ("{}", "[]", ""):
        (folder / "options.json").write_text(damaged)
        with pytest.raises(UserError, match="holds no packed model"):
            fit_packed(folder, verbose=0)


def test_mirrored_images_lie_beside_the_others(flags, tmp_path):
    run(handover, *flags, "--augment")
    x = np.load(tmp_path / "run" / "handover" / "x.npy")
    first, second = np.split(x, 2)
    np.testing.assert_array_equal(first[:, :, ::-1], second)
    assert first.any()


def test_what_is_not_handed_over_is_refused(flags, capsys):
    run(handover, *flags, "--weight_ema=0.9", status=2)
    assert "without --weight_decay and --weight_ema" in capsys.readouterr().err


@pytest.mark.parametrize("schedule", ["constant", "cosine", "linear"])
def test_both_ways_of_training_have_one_schedule(schedule):
    options = TrainingOptions(steps=9, batch_size=1, learning_rate=0.3, schedule=schedule, warmup_steps=3)
    ours = Schedule(9, 0.3, schedule, 3)
    for step in range(10):
        np.testing.assert_allclose(ours(step), learning_rate(options, tf.constant(step)), rtol=1e-5, atol=1e-8)
