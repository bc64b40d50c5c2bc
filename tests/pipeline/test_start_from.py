"""A run that begins with the weights of another one."""

from __future__ import annotations

import shutil
import sys

import keras
import numpy as np
import pytest

from vq_vae_tf.commands import handover
from vq_vae_tf.pipeline.loading import load_prior, load_vqvae
from vq_vae_tf.pipeline.run import open_run
from vq_vae_tf.plain_fit import MODEL
from vq_vae_tf.training.digest import weights_digest

pytestmark = pytest.mark.slow
FEW = ["--flagfile=smoke.flags", "--stages=vqvae,codes,prior", "--batch_size=8", "--prior_steps=3",
       "--prior_batch_size=8", "--prior_layers=1", "--prior_warmup_steps=0", "--warmup_steps=0", "--learning_rate=1e-9",
       "--prior_learning_rate=1e-9", "--ema_decay=0.999999", "--revive_below=0"]  # fmt: skip
"""Steps so small that a run's weights stay where they began."""


@pytest.fixture(scope="module")
def first(run, picture_folder, tmp_path_factory):
    """A trained run on two classes of pictures; its folder holds the pictures of those that follow, too."""
    random, root = np.random.default_rng(0), tmp_path_factory.mktemp("start")
    pictures = picture_folder(8, lambda: random.integers(0, 256, (16, 16, 3)).astype(np.uint8))
    shutil.copytree(pictures, root / "pictures")
    shutil.copytree(pictures, root / "more")
    shutil.copytree(root / "more" / "a", root / "more" / "c")
    ordinary = ["--learning_rate=1e-2", "--prior_learning_rate=1e-2", "--ema_decay=0.9", "--seed=5"]
    run(*FEW, *ordinary, "--steps=4", f"--dataset=folder:{root / 'pictures'}", f"--workdir={root / 'one'}")
    return root


def arguments(root, name, steps=3, data="more"):
    start = f"--start_from={root / 'one'}"
    return [*FEW, f"--steps={steps}", f"--dataset=folder:{root / data}", f"--workdir={root / name}", start]


def models(folder):
    opened = open_run(str(folder))
    return load_vqvae(opened)[0], load_prior(opened)


def distance(a, b):
    return max(float(np.abs(x - y).max()) for x, y in zip(a.get_weights(), b.get_weights(), strict=True) if x.size)


def test_both_models_begin_where_the_other_run_ended_and_other_classes_begin_anew(run, first, capsys):
    run(*arguments(first, "two"))
    told = capsys.readouterr().err
    assert f"vqvae: begins with the weights of {first / 'one' / 'vqvae'}\n" in told
    assert (
        f"prior: begins with the weights of {first / 'one' / 'prior'}, but for 1 weights made for its classes" in told
    )
    (theirs, their_prior), (mine, my_prior) = models(first / "one"), models(first / "two")
    for part in ("encoder", "decoder"):
        assert distance(getattr(theirs, part), getattr(mine, part)) < 1e-5
    np.testing.assert_allclose(mine.quantizer.codebook, theirs.quantizer.codebook, atol=1e-3)
    for old, new in zip(their_prior.weights, my_prior.weights, strict=True):
        if "label" in old.path:
            assert (old.shape[0], new.shape[0]) == (2, 3)
        elif "seed_generator" not in old.path:
            np.testing.assert_allclose(new.numpy(), old.numpy(), atol=1e-5, err_msg=old.path)


def test_a_run_that_was_stopped_goes_on_from_its_checkpoint_not_from_the_start(run, first, capsys):
    ordinary = ["--learning_rate=1e-2", "--checkpoint_every=2", "--stages=vqvae"]
    run(*arguments(first, "whole", 6), *ordinary)
    run(*arguments(first, "half", 6), *ordinary)
    half = first / "half" / "vqvae"
    (half / "result.json").unlink()
    (half / "model.weights.h5").unlink()
    for path in sorted((half / "checkpoints").glob("*.npz"))[1:]:
        path.unlink()
    capsys.readouterr()
    run(*arguments(first, "half", 6), *ordinary)
    assert "begins with" not in capsys.readouterr().err
    whole, again = (weights_digest(load_vqvae(open_run(str(first / name)))[0]) for name in ("whole", "half"))
    assert whole == again


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--start_from=nowhere"], "--start_from=nowhere holds no run"),
        (["--units=12"], "it was made with --units="),
        (["--embedding_dim=3"], "it was made with --embedding_dim="),
        (["--quantizer=product", "--num_codebooks=2"], "it was made with --quantizer=vector"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_trained(run, first, capsys, flags, said):
    workdir = first / f"refused{flags[0].strip('-').replace('=', '')}"
    run(*arguments(first, workdir.name), *flags, status=2)
    told = capsys.readouterr().err
    assert said in told
    assert "Traceback" not in told
    assert not (workdir / "vqvae" / "result.json").exists()


def test_a_prior_of_other_sizes_is_refused_by_its_flag(run, first, capsys):
    run(*arguments(first, "wide"), "--prior_units=12", status=2)
    assert "it was made with --prior_units=" in capsys.readouterr().err


def test_a_run_without_a_prior_lends_none_and_damage_is_named(run, first, capsys):
    shutil.copytree(first / "one", first / "lone")
    shutil.rmtree(first / "lone" / "prior")
    run(*arguments(first, "three"), f"--start_from={first / 'lone'}")
    assert "prior: begins" not in capsys.readouterr().err
    weights = first / "lone" / "vqvae" / "model.weights.h5"
    weights.write_bytes(weights.read_bytes()[:2000])
    run(*arguments(first, "four"), f"--start_from={first / 'lone'}", status=2)
    assert f"{weights} is damaged" in capsys.readouterr().err


def test_a_model_that_is_handed_over_begins_there_too(first):
    typed = [*arguments(first, "handed"), f"--start_from={first / 'one'}"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["handover", *typed])
        assert handover.main() == 0
    packed = keras.saving.load_model(first / "handed" / "handover" / MODEL)
    theirs = load_vqvae(open_run(str(first / "one")))[0]
    for old, new in zip(theirs.weights, packed.weights, strict=True):
        np.testing.assert_array_equal(new.numpy(), old.numpy(), err_msg=old.path)


def test_pictures_of_another_size_take_the_vqvae_and_a_prior_from_chance(run, first, capsys):
    run(*arguments(first, "five"), "--image_size=8")
    told = capsys.readouterr().err
    assert "vqvae: begins with the weights of" in told
    assert "prior: begins anew, for codes (2, 2) of 16: those of" in told


def test_another_number_of_codes_takes_the_networks_and_a_codebook_and_prior_of_its_own(run, first, capsys):
    run(*arguments(first, "six"), "--num_embeddings=7")
    told = capsys.readouterr().err
    assert "weights made for its number of codes, which begin anew" in told
    assert "prior: begins anew, for codes (4, 4) of 7: those of" in told
    (theirs, _), (mine, _) = models(first / "one"), models(first / "six")
    for part in ("encoder", "decoder"):
        assert distance(getattr(theirs, part), getattr(mine, part)) < 1e-5
    assert mine.quantizer.codebook.shape[0] == 7
    assert np.ptp(np.asarray(mine.quantizer.codebook), axis=0).min() > 0  # from data, no two alike
