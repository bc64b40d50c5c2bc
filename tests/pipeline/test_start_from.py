"""A run that begins with the weights of another one, or of an export."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

from vq_vae_tf.codes import open_codes
from vq_vae_tf.commands import handover
from vq_vae_tf.pipeline.loading import load_prior, load_vqvae
from vq_vae_tf.pipeline.run import open_run
from vq_vae_tf.pipeline.unpacking import unpack, why_no_prior
from vq_vae_tf.plain_fit import MODEL
from vq_vae_tf.serving.export import METADATA
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


def assert_same_prior(theirs, mine):
    """But for the weights of its classes."""
    for old, new in zip(theirs.weights, mine.weights, strict=True):
        if "label" in old.path:
            assert (old.shape[0], new.shape[0]) == (2, 3)
        elif "seed_generator" not in old.path:
            np.testing.assert_allclose(new.numpy(), old.numpy(), atol=1e-5, err_msg=old.path)


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
    assert [int(model.quantizer.variables[2]) for model in (theirs, mine)] == [4, 3]  # batches: of this training alone
    assert_same_prior(their_prior, my_prior)


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


def test_a_process_killed_in_its_first_checkpoint_begins_with_the_other_run_again(run, first, capsys):
    rest = first / "early" / "vqvae" / "checkpoints" / ".step-000000002.abc.partial.npz"
    rest.parent.mkdir(parents=True)
    rest.write_bytes(b"half")
    run(*arguments(first, "early"), "--stages=vqvae")
    assert "begins with the weights of" in capsys.readouterr().err
    (theirs, _), mine = models(first / "one"), load_vqvae(open_run(str(first / "early")))[0]
    assert distance(theirs.encoder, mine.encoder) < 1e-5


def test_one_flipped_bit_in_the_other_runs_weights_is_named(run, first, capsys):
    shutil.copytree(first / "one", first / "flipped")
    weights = first / "flipped" / "vqvae" / "model.weights.h5"
    with h5py.File(weights) as file:
        place = file["encoder/vars/0"].id.get_offset() if "encoder/vars/0" in file else None
    content = bytearray(weights.read_bytes())
    content[place or len(content) // 2] ^= 1
    weights.write_bytes(content)
    run(*arguments(first, "of_flipped"), f"--start_from={first / 'flipped'}", "--stages=vqvae", status=2)
    assert "another SHA-256" in capsys.readouterr().err


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
    run(*arguments(first, "wide"))  # what was refused is not held against what it asked for
    assert "prior: begins with the weights" in capsys.readouterr().err


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
        begun = 0 * old.numpy() if old.path.endswith("/steps") else old.numpy()
        np.testing.assert_array_equal(new.numpy(), begun, err_msg=old.path)


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


SHIPPED = Path(__file__).parents[2] / "exports"


@pytest.mark.parametrize(("name", "argument", "shape"), [
    ("cifar10", "image", (2, 32, 32, 3)), ("fsdd", "audio", (2, 5120)), ("vizdoom_video", "video", (1, 2, 84, 84, 3)),
])  # fmt: skip
def test_a_shipped_export_is_unpacked_to_a_run_that_encodes_as_it_does(tmp_path, name, argument, shape):
    random = np.random.default_rng(1)
    x = random.integers(0, 256, shape).astype(np.uint8) if len(shape) > 2 else random.normal(0, 0.1, shape)
    x = x if len(shape) > 2 else x.astype(np.float32)
    encode = tf.saved_model.load(str(SHIPPED / name / "1")).signatures["encode"]
    vqvae, _ = load_vqvae(unpack(SHIPPED / name / "1", tmp_path / "run", vectors=64))
    expected = encode(**{argument: tf.constant(x)})["codes"].numpy()
    frames = x.reshape(-1, *x.shape[-3:]) if name == "vizdoom_video" else x
    found = np.asarray(vqvae.encode(frames)).reshape(expected.shape)
    assert len(np.unique(expected)) > 5
    assert (found == expected).mean() > 0.99


@pytest.fixture(scope="module")
def exported(run, first):
    """A version folder of an export of the first run."""
    run(*FEW, "--steps=4", f"--dataset=folder:{first / 'pictures'}", f"--workdir={first / 'one'}", "--stages=export",
        *["--learning_rate=1e-2", "--prior_learning_rate=1e-2", "--ema_decay=0.9", "--seed=5"])  # fmt: skip
    return next((first / "one" / "export").glob("*/1"))


def test_both_models_begin_with_an_export_whose_codebook_the_first_batch_does_not_set(run, first, exported, capsys):
    run(*arguments(first, "seven"), f"--start_from={exported}")
    told = capsys.readouterr().err
    assert f"vqvae: begins with the weights of {exported}\n" in told
    assert f"prior: begins with the weights of {exported}, but for 1 weights made for its classes" in told
    (theirs, their_prior), (mine, my_prior) = models(first / "one"), models(first / "seven")
    for part in ("encoder", "decoder"):
        assert distance(getattr(theirs, part), getattr(mine, part)) < 1e-5
    np.testing.assert_allclose(mine.quantizer.codebook, theirs.quantizer.codebook, atol=1e-3)
    assert_same_prior(their_prior, my_prior)


def test_what_an_export_has_no_prior_for_begins_anew_and_says_why(run, first, exported, capsys):
    run(*arguments(first, "more_codes"), f"--start_from={exported}", "--num_embeddings=7")
    assert "lends its VQ-VAE only, since its codes are (4, 4) of 16, these (4, 4) of 7" in capsys.readouterr().err
    codes = open_codes(first / "more_codes" / "codes").manifest
    assert "does not tell the layers of its prior apart" in why_no_prior(SHIPPED / "cifar10" / "1", codes)


def test_codes_of_an_export_are_not_revived_in_a_run_of_larger_batches(run, first, exported, capsys):
    larger = ["--batch_size=12", "--revive_below=0.9", "--steps=1", "--stages=vqvae"]
    run(*arguments(first, "larger"), f"--start_from={exported}", *larger)
    theirs, mine = load_vqvae(open_run(str(first / "one")))[0], load_vqvae(open_run(str(first / "larger")))[0]
    np.testing.assert_allclose(mine.quantizer.codebook, theirs.quantizer.codebook, atol=1e-3)


def test_an_export_of_another_network_is_refused_by_its_own_name(run, first, exported, capsys):
    run(*arguments(first, "wider"), f"--start_from={exported}", "--units=12", status=2)
    told = capsys.readouterr().err
    assert f"--start_from={exported}: {exported} is of another network" in told
    assert "it was made with --units=" in told
    assert "model.weights.h5" not in told
    run(*arguments(first, "heard"), f"--start_from={SHIPPED / 'fsdd' / '1'}", status=2)
    assert "is a run on audio, this is one on image" in capsys.readouterr().err


def test_a_damaged_export_is_named_and_one_of_other_weights_not_taken(run, first, exported, capsys):
    broken = first / "broken"
    shutil.copytree(exported, broken)
    shard = next((broken / "variables").glob("*.data*"))
    shard.write_bytes(shard.read_bytes()[:1000])
    run(*arguments(first, "eight"), f"--start_from={broken}", status=2)
    assert f"{broken} is damaged" in capsys.readouterr().err
    metadata = json.loads((exported / METADATA).read_text())
    shutil.copytree(exported, first / "other")
    metadata["config"]["units"] += 4
    (first / "other" / METADATA).write_text(json.dumps(metadata))
    run(*arguments(first, "nine"), f"--start_from={first / 'other'}", status=2)
    assert "holds weights that this version has no place for (decoder/" in capsys.readouterr().err
    (first / "other" / METADATA).write_text("{")
    run(*arguments(first, "ten"), f"--start_from={first / 'other'}", status=2)
    assert f"{first / 'other' / METADATA} is damaged" in capsys.readouterr().err
