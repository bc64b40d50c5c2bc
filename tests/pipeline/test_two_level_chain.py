"""Codes of two levels, and codes priced by a network, by flags: from training to the export."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
import tensorflow as tf

from vq_vae_tf.codes import open_codes
from vq_vae_tf.commands import compress, train
from vq_vae_tf.hierarchy import TwoLevelPrior
from vq_vae_tf.pipeline.loading import trained_pair
from vq_vae_tf.pipeline.run import open_run

pytestmark = pytest.mark.slow
SMALL = ["--image_size=8", "--downsamplings=1", "--steps=5", "--prior_steps=5", "--prior_layers=1", "--prior_units=8"]


@pytest.fixture(scope="module")
def data(picture_folder):
    random = np.random.default_rng(0)
    return picture_folder(12, lambda: random.integers(0, 256, (8, 8, 3)).astype(np.uint8))


def run(data, workdir, *argv, status=0):
    with pytest.MonkeyPatch.context() as patch:
        given = ["--flagfile=smoke.flags", f"--dataset=folder:{data}", f"--workdir={workdir}", *SMALL, *argv]
        patch.setattr(sys, "argv", ["train", *given])
        assert train.main() == status


def test_two_levels_from_training_to_the_export(data, tmp_path, monkeypatch, capsys):
    run(data, tmp_path / "run", "--quantizer=two_level", "--stages=vqvae,codes,prior,evaluate,export")
    manifest = open_codes(tmp_path / "run" / "codes").manifest
    assert (manifest.layout, manifest.code_shape, manifest.num_codebooks) == ("two_level", (2, 2, 5), 5)
    vqvae, prior = trained_pair(open_run(str(tmp_path / "run")))
    assert isinstance(prior, TwoLevelPrior)
    signatures = tf.saved_model.load(str(tmp_path / "run" / "export" / "model" / "1")).signatures
    x, label = np.random.default_rng(1).integers(0, 256, (2, 8, 8, 3)).astype(np.uint8), tf.constant([0, 1])
    codes = signatures["encode"](image=x)["codes"]
    np.testing.assert_array_equal(codes, vqvae.encode(x))
    nats = signatures["log_prob"](codes=codes, label=label)["log_prob"]
    np.testing.assert_allclose(nats, prior.log_prob(codes, {"label": label}), rtol=1e-5)
    settings = {"seed": tf.constant(3), "temperature": tf.constant(1.0), "label": label}
    drawn = signatures["sample"](**settings)["codes"]
    np.testing.assert_array_equal(drawn, prior.sample(2, 3, {"label": label}))
    keep = np.array([[[1, 1], [0, 0]]] * 2, np.int32)
    completed = signatures["complete"](image=x, keep_mask=keep, **settings)["codes"].numpy()
    np.testing.assert_array_equal(completed[:, 0], codes[:, 0])
    assert (completed[:, 1] != codes.numpy()[:, 1]).any()
    given = [f"--workdir={tmp_path / 'run'}", f"--input={data}", f"--output={tmp_path / 'x'}"]
    monkeypatch.setattr(sys, "argv", ["compress", *given])
    assert compress.main() == 2
    assert "codes on two levels" in capsys.readouterr().err


def test_codes_priced_by_a_network_are_written_and_taken_up_by_a_prior(data, tmp_path):
    stages, in_bfloat16 = "--stages=vqvae,codes,prior,evaluate", ("--precision=mixed_bfloat16", "--search_candidates=2")
    run(data, tmp_path / "run", "--quantizer=joint", "--bit_cost=0.1", stages, *in_bfloat16)
    scores = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert scores["searched"]["mse"] <= scores["mse"] * (1 + 1e-3)  # rounded to 8 bits, the search's loss is not
    assert open_codes(tmp_path / "run" / "codes").manifest.layout == "raster"
    vqvae, prior = trained_pair(open_run(str(tmp_path / "run")))
    assert (vqvae.quantizer.bit_cost, vqvae.quantizer.network.features) == (0.1, 8)
    assert prior.network.symbol_shape == vqvae.quantizer.network.symbol_shape == (4, 4)


def test_what_does_not_fit_is_refused_before_any_work(data, tmp_path, capsys):
    run(data, tmp_path / "a", "--quantizer=two_level", "--levels_apart=3", status=2)
    assert "does not divide by 8 (--levels_apart=3); give --image_size as a multiple of 16" in capsys.readouterr().err
    run(data, tmp_path / "b", "--quantizer=two_level", "--iw_samples=2", status=2)
    assert "--iw_samples=2" in capsys.readouterr().err
    run(data, tmp_path / "c", "--quantizer=joint", "--prior=parrot", status=2)
    assert "--prior=parrot is not known" in capsys.readouterr().err
