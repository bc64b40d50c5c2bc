"""Codes that are drawn, by flags: trained, scored, learned by a prior, exported."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

from vq_vae_tf.autoregressive.vectors import along_axes, vector_features
from vq_vae_tf.codes import open_codes
from vq_vae_tf.pipeline.loading import load_prior, load_vqvae
from vq_vae_tf.pipeline.run import open_run

pytestmark = pytest.mark.slow
FLAGS = [
    "--flagfile=smoke.flags", "--steps=12", "--prior_steps=6", "--prior_layers=1",
    "--likelihood=logistic_mixture", "--mixture_components=2", "--resampling=folded", "--quantizer=product",
    "--num_codebooks=11", "--embedding_dim=66", "--contrast_codes=true", "--code_temperature=0.05", "--iw_samples=2",
    "--rate_cost=0.01", "--prior_vectors=true",
]  # fmt: skip


@pytest.fixture(scope="module")
def pictures(picture_folder):
    random = np.random.default_rng(0)

    def picture():
        coarse = np.kron(random.integers(30, 220, (4, 4, 3)), np.ones((4, 4, 1)))
        return np.clip(coarse + random.normal(size=(16, 16, 3)) * 8, 0, 255).astype(np.uint8)

    return picture_folder(20, picture)


def test_the_whole_chain(run, pictures, tmp_path):
    workdir = tmp_path / "run"
    stages = "--stages=vqvae,codes,prior,evaluate,export"
    run(*FLAGS, f"--dataset=folder:{pictures}", f"--workdir={workdir}", stages)
    bounds = json.loads((workdir / "evaluation.json").read_text())["bits_per_dim"]
    assert set(bounds) == {f"{p}{d}" for p in ("uniform", "learned") for d in ("", "_drawn", "_drawn_iw2")}
    for prior in ("uniform", "learned"):
        assert bounds[f"{prior}_drawn"]["rate_bits_per_dim"] < bounds[prior]["rate_bits_per_dim"]
    opened = open_run(workdir)
    vqvae, digest = load_vqvae(opened)
    split = opened.config.evaluation.eval_split
    prior = load_prior(opened)
    features = vector_features(np.asarray(vqvae.quantizer.codebook))
    np.testing.assert_allclose(prior.network.head.table, features, rtol=1e-4, atol=1e-5)
    frequency = np.exp(prior.network.head.log_frequency)
    counts = open_codes(opened.codes, digest).manifest.histogram("train") + 1.0
    np.testing.assert_allclose(frequency, counts / counts.sum(-1, keepdims=True), rtol=1e-4)
    x = np.concatenate([batch["x"].numpy() for batch in opened.data.examples(split, 50)])
    learned = open_codes(opened.codes, digest).store(split).arrays["codes"].numpy()
    nearest = vqvae.encode(x).numpy()
    assert 0.02 < np.mean(learned != nearest) < 0.98  # the prior sees draws
    signatures = tf.saved_model.load(str(workdir / "export" / "model" / "1")).signatures
    ours = vqvae.drawn_elbo(x[:4], tf.constant(5))
    given = signatures["drawn_elbo"](image=x[:4], seed=tf.constant(5))
    np.testing.assert_allclose(given["distortion"] + given["rate"], -np.asarray(ours["elbo"]), rtol=1e-4)
    other = signatures["drawn_elbo"](image=x[:4], seed=tf.constant(6))
    assert (other["rate"].numpy() != given["rate"].numpy()).any()
    np.testing.assert_array_equal(signatures["encode"](image=x[:4])["codes"], nearest[:4])


def test_a_trained_model_draws_at_another_temperature(run, pictures, tmp_path):
    workdir = tmp_path / "run"
    flags = [*FLAGS, f"--dataset=folder:{pictures}", f"--workdir={workdir}"]
    run(*flags, "--stages=vqvae")
    digest, away, rate = load_vqvae(open_run(workdir))[1], [], []
    for temperature in (0.0, 0.001, 5.0):
        run(*flags, "--stages=codes", f"--draw_temperature={temperature}")
        opened = open_run(workdir)
        vqvae, same = load_vqvae(opened)
        assert same == digest
        assert vqvae.quantizer.temperature == (temperature or 0.05)
        x = np.concatenate([batch["x"].numpy() for batch in opened.data.examples("train", 50)])
        drawn = open_codes(opened.codes, digest).store("train").arrays["codes"].numpy()
        away.append(np.mean(drawn != vqvae.encode(x).numpy()))
        rate.append(np.mean(vqvae.drawn_elbo(x, tf.constant(5))["rate"]))
        shutil.rmtree(workdir / "codes")
    assert away[1] < away[0] < away[2]
    assert rate[1] > rate[0] > rate[2]
    run(*flags, "--stages=codes", "--draw_temperature=5")
    run(*flags, "--stages=codes", "--draw_temperature=2", status=2)


def test_what_was_measured_or_exported_at_another_temperature_is_made_anew(run, pictures, tmp_path, capsys):
    workdir, sizes = tmp_path / "run", ["--steps=2", "--eval_batch_size=8", "--code_temperature=0.05"]
    flags = ["--flagfile=smoke.flags", *sizes, f"--dataset=folder:{pictures}", f"--workdir={workdir}"]
    run(*flags, "--stages=vqvae")
    rates = []
    for temperature in (0.001, 5.0):
        for _ in range(2):
            run(*flags, f"--draw_temperature={temperature}", "--stages=evaluate,export")
        bounds = json.loads((workdir / "evaluation.json").read_text())["bits_per_dim"]
        rates.append(bounds["uniform_drawn"]["rate_bits_per_dim"])
    assert rates[0] > rates[1] + 1e-3
    assert sorted(path.name for path in (workdir / "export" / "model").iterdir()) == ["1", "2"]
    assert capsys.readouterr().err.count("already in") == 4


def test_codes_are_drawn_otherwise_in_the_second_half_of_training(run, pictures, tmp_path):
    codings = ["--code_temperature=0.001", "--last_temperature=5", "--steps=8", "--checkpoint_every=4"]
    flags = ["--flagfile=smoke.flags", *codings, f"--dataset=folder:{pictures}", "--stages=vqvae"]
    run(*flags, f"--workdir={tmp_path / 'changed'}")
    run(*flags, f"--workdir={tmp_path / 'same'}", "--last_temperature=0")
    changed, same = (arrays(tmp_path / name / "vqvae" / "checkpoints") for name in ("changed", "same"))
    assert max(changed) == 8
    for name, value in changed[4].items():
        np.testing.assert_allclose(value, same[4][name], rtol=1e-4, atol=1e-6, err_msg=name)
    assert any(not np.allclose(value, same[8][name], rtol=1e-2) for name, value in changed[8].items())
    at_last = {name: load_vqvae(open_run(tmp_path / name))[0].quantizer.temperature for name in ("changed", "same")}
    assert at_last == {"changed": 5, "same": 0.001}


def arrays(checkpoints):
    """Step -> name -> array."""
    steps = {int(path.stem.split("-")[1]): path for path in checkpoints.glob("*.npz")}
    return {step: {n: a for n, a in np.load(path).items() if n.startswith("model/")} for step, path in steps.items()}


@pytest.mark.parametrize(("num_codes", "axes"), [(24, 8), (5, 4)])
def test_a_prior_sees_long_vectors_along_their_axes(run, pictures, tmp_path, num_codes, axes):
    workdir = tmp_path / "run"
    sizes = ["--embedding_dim=12", f"--num_embeddings={num_codes}", "--steps=12", "--prior_steps=6", "--prior_layers=1"]
    flags = ["--flagfile=smoke.flags", *sizes, f"--dataset=folder:{pictures}", f"--workdir={workdir}"]
    run(*flags, "--stages=vqvae,codes,prior", "--prior_vectors=true")
    opened = open_run(workdir)
    vqvae, digest = load_vqvae(opened)
    network = load_prior(opened).network
    assert network.vector_dim == axes
    book = np.asarray(vqvae.quantizer.codebook)[None]
    np.testing.assert_allclose(network.head.table, vector_features(along_axes(book, axes)), rtol=1e-3, atol=1e-4)
    counts = open_codes(opened.codes, digest).manifest.histogram("train")[None] + 1.0
    np.testing.assert_allclose(np.exp(network.head.log_frequency), counts / counts.sum(-1, keepdims=True), rtol=1e-4)


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("quantizer", "residual"), ("quantizer", "two_level"), ("quantizer", "vector"), ("resampling", "strided"),
        ("code_temperature", "0"),
    ],
)  # fmt: skip
def test_what_cannot_be_had_is_refused_before_any_work(run, pictures, tmp_path, capsys, flag, value):
    asked = ["--iw_samples=1", f"--dataset=folder:{pictures}", f"--workdir={tmp_path / 'run'}", f"--{flag}={value}"]
    run(*FLAGS, *asked, status=2)
    said = capsys.readouterr().err
    assert f"--{flag}={value}" in said
    assert any(other in said for other in ("--code_temperature=0.05", "--contrast_codes", "--rate_cost=0.01"))
    assert not (tmp_path / "run" / "vqvae" / "result.json").exists()


def test_a_model_that_draws_no_codes_has_no_temperature(run, pictures, tmp_path, capsys):
    given = ["--flagfile=smoke.flags", f"--dataset=folder:{pictures}", f"--workdir={tmp_path / 'run'}"]
    run(*given, "--steps=2", "--stages=vqvae")
    before = (tmp_path / "run" / "config.flags").read_bytes()
    run(*given, "--steps=2", "--draw_temperature=0.5", status=2)
    assert (tmp_path / "run" / "config.flags").read_bytes() == before
    assert "--draw_temperature=0.5 is of a VQ-VAE trained with --code_temperature" in capsys.readouterr().err
    for asked in (["--quantizer=product", "--code_temperature=0.1", "--num_codebooks=2"], ["--code_temperature=0"]):
        run(*given, *asked, "--last_temperature=0.5", status=2)
        assert "it is of a vector quantizer's drawn codes" in capsys.readouterr().err
