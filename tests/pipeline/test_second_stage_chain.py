"""The codes of one run as the data of the next, by flags: trained, scored, drawn from, exported."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tensorflow as tf

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def first(run, tmp_path_factory):
    root, random = tmp_path_factory.mktemp("first"), np.random.default_rng(0)
    (root / "pictures").mkdir()
    for i in range(16):
        picture = tf.io.encode_png(random.integers(0, 256, (16, 16, 3)).astype(np.uint8)).numpy()
        (root / "pictures" / f"{i}.png").write_bytes(picture)
    run(*arguments(root), f"--workdir={root / 'one'}", "--downsamplings=1", "--stages=vqvae")
    return root


def arguments(root):
    return ["--flagfile=smoke.flags", f"--dataset=folder:{root / 'pictures'}", "--steps=5", "--batch_size=8",
            "--prior_steps=5", "--prior_batch_size=8", "--prior_layers=1", "--samples_per_class=1"]  # fmt: skip


SECOND = ["--downsamplings=2", "--likelihood=pixelcnn", "--pixelcnn_units=8", "--pixelcnn_layers=1",
          "--quantizer=product", "--num_codebooks=3", "--num_embeddings=4", "--embedding_dim=6"]  # fmt: skip


def test_the_whole_chain_over_codes(run, first):
    workdir = first / "two"
    stages = "--stages=vqvae,codes,prior,evaluate,export"  # the export draws
    run(*arguments(first), *SECOND, f"--first_stage={first / 'one'}", f"--workdir={workdir}", stages)
    scores = json.loads((workdir / "evaluation.json").read_text())
    assert scores["compression_ratio"] == pytest.approx(16 * 16 * 3 * 8 / (3 * 2))
    assert {"uniform", "learned", "shuffled codes"} <= set(scores["bits_per_dim"])
    signatures = tf.saved_model.load(str(workdir / "export" / "model" / "1")).signatures
    x = np.zeros((2, 16, 16, 3), np.uint8)
    codes = signatures["encode"](image=x)["codes"]
    assert codes.shape == (2, 1, 1, 3)
    assert signatures["decode"](codes=codes)["image"].shape == (2, 16, 16, 3)
    drawn = signatures["sample"](seed=tf.constant(3), label=tf.zeros(2, tf.int32), temperature=tf.constant(1.0))
    assert drawn["image"].shape == (2, 16, 16, 3)


def test_a_first_stage_that_is_not_there_is_refused(run, first, capsys):
    run(*arguments(first), *SECOND, "--first_stage=nowhere", f"--workdir={first / 'three'}", status=2)
    assert "--first_stage=nowhere holds no run" in capsys.readouterr().err
    assert not (first / "three" / "vqvae" / "result.json").exists()
