"""A PixelCNN as the decoder, by flags: trained, scored, drawn from, exported."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tensorflow as tf

pytestmark = pytest.mark.slow
FLAGS = ["--likelihood=pixelcnn", "--pixelcnn_units=8", "--pixelcnn_layers=1", "--image_size=8", "--downsamplings=1"]
SHORT = ["--steps=5", "--prior_steps=5", "--eval_batch_size=12", "--prior_layers=1"]


@pytest.fixture(scope="module")
def data(picture_folder):
    random = np.random.default_rng(0)
    return picture_folder(12, lambda: random.integers(0, 256, (8, 8, 3)).astype(np.uint8))


def arguments(data, workdir):
    return ["--flagfile=smoke.flags", f"--dataset=folder:{data}", f"--workdir={workdir}", *SHORT]


def test_the_whole_chain(run, data, tmp_path):
    workdir = tmp_path / "run"
    run(*arguments(data, workdir), *FLAGS, "--iw_samples=3")
    scores = json.loads((workdir / "evaluation.json").read_text())
    bounds = scores["bits_per_dim"]
    assert set(bounds) == {"uniform", "learned", "uniform_iw3", "learned_iw3", "shuffled codes"}
    for name in ("uniform", "learned"):
        assert bounds[f"{name}_iw3"]["bits_per_dim"] <= bounds[name]["bits_per_dim"]
    assert bounds["shuffled codes"]["rate_bits_per_dim"] == pytest.approx(bounds["uniform"]["rate_bits_per_dim"])
    assert (workdir / "samples" / "samples.png").exists()
    signatures = tf.saved_model.load(str(workdir / "export" / "model" / "1")).signatures
    x = np.zeros((2, 8, 8, 3), np.uint8)
    codes = signatures["encode"](image=x)["codes"]
    drawn = [signatures[name](**given)["image"] for name, given in (
        ("reconstruct", {"image": x}), ("decode", {"codes": codes}), ("decode", {"codes": codes}),
    )]  # fmt: skip
    np.testing.assert_array_equal(drawn[0], drawn[1])
    np.testing.assert_array_equal(drawn[1], drawn[2])
    assert signatures["sample"](
        seed=tf.constant(3), label=tf.constant([0, 1]), temperature=tf.constant(1.0)
    )["image"].shape == (2, 8, 8, 3)  # fmt: skip


@pytest.mark.parametrize("local", [[], ["--pixelcnn_reach=2", "--pixelcnn_logistics=2", "--resampling=folded"]])
def test_without_codes_nothing_is_spent_on_them(run, data, tmp_path, local):
    workdir = tmp_path / "run"
    run(*arguments(data, workdir), *FLAGS, *local, "--pixelcnn_codes=false", "--stages=vqvae,evaluate")
    bounds = json.loads((workdir / "evaluation.json").read_text())["bits_per_dim"]
    assert set(bounds) == {"without codes"}
    assert bounds["without codes"]["rate_bits_per_dim"] == 0.0


def test_by_squares_and_with_logistics_the_start_is_a_cosine_transform(run, data, tmp_path, capsys):
    workdir, squares = tmp_path / "run", ["--pixelcnn_side=2", "--pixelcnn_logistics=2", "--resampling=folded"]
    run(*arguments(data, workdir), *FLAGS, "--pixelcnn_units=12", *squares, "--stages=vqvae,evaluate")
    bounds = json.loads((workdir / "evaluation.json").read_text())["bits_per_dim"]
    assert 0 < bounds["uniform"]["bits_per_dim"] < 12
    run(*arguments(data, tmp_path / "other"), *FLAGS, "--pixelcnn_side=3", status=2)
    assert "--pixelcnn_side=3" in capsys.readouterr().err


def test_by_differences_the_whole_chain_and_what_it_needs(run, data, tmp_path, capsys):
    workdir, local = tmp_path / "run", ["--pixelcnn_reach=2", "--pixelcnn_logistics=2", "--resampling=folded"]
    local.append("--pixelcnn_messages=3")
    run(*arguments(data, workdir), *FLAGS, *local, "--stages=vqvae,codes,prior,evaluate,sample")
    bounds = json.loads((workdir / "evaluation.json").read_text())["bits_per_dim"]
    assert 0 < bounds["learned"]["bits_per_dim"] < 24  # noise, which this network expects least of all
    assert (workdir / "samples" / "samples.png").exists()
    for wrong in ("--pixelcnn_logistics=0", "--pixelcnn_side=2", "--pixelcnn_reach=1"):
        run(*arguments(data, tmp_path / "other"), *FLAGS, *local, wrong, status=2)
        assert wrong in capsys.readouterr().err
    run(*arguments(data, tmp_path / "other"), *FLAGS, "--pixelcnn_messages=3", status=2)
    assert "--pixelcnn_messages=3 without" in capsys.readouterr().err
    stage = ["--first_stage=" + str(workdir), "--quantizer=product", "--num_codebooks=2", "--embedding_dim=8"]
    run(*arguments(data, tmp_path / "second"), *FLAGS, *local, *stage, status=2)
    assert "--pixelcnn_reach=2" in capsys.readouterr().err


def test_codings_of_a_residual_quantizer_are_refused_before_any_work(run, data, tmp_path, capsys):
    run(*arguments(data, tmp_path / "run"), "--quantizer=residual", "--iw_samples=2", status=2)
    assert "--iw_samples=2" in capsys.readouterr().err
    assert not (tmp_path / "run" / "vqvae" / "result.json").exists()
