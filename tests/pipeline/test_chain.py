"""The whole chain as a user types it, on a folder of generated pictures."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from vq_vae_tf.codes import open_codes

pytestmark = pytest.mark.slow


def pictures(folder: Path, per_class: int = 12) -> Path:
    """Two classes of 16x16 pictures: bright above, or bright to the left."""
    random = np.random.default_rng(0)
    for name, axis in (("above", 0), ("left", 1)):
        (folder / name).mkdir(parents=True)
        for i in range(per_class):
            ramp = np.linspace(200, 20, 16).reshape((16, 1) if axis == 0 else (1, 16))
            image = np.clip(ramp[..., None] + random.normal(0, 20, (16, 16, 3)), 0, 255).astype(np.uint8)
            (folder / name / f"{i}.png").write_bytes(tf.io.encode_png(image).numpy())
    return folder


def arguments(data: Path, workdir: Path) -> list[str]:
    return ["--flagfile=smoke.flags", f"--dataset=folder:{data}", f"--workdir={workdir}"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Path, Path, str]:
    folder = tmp_path_factory.mktemp("chain")
    data = pictures(folder / "data")
    root = Path(__file__).parents[2]
    typed = [str(root / "bin" / "train"), *arguments(data, folder / "run")]
    environment = {**os.environ, "VIRTUAL_ENV": sys.prefix, "PATH": f"{sys.prefix}/bin:{os.environ['PATH']}"}
    done = subprocess.run(typed, capture_output=True, text=True, env=environment, cwd=folder)
    assert done.returncode == 0, done.stderr
    said = done.stderr
    return data, folder / "run", said


def test_every_stage_leaves_what_the_next_one_reads(finished):
    _, workdir, said = finished
    for name in ("vqvae", "codes", "prior", "evaluate", "sample", "export"):
        assert f"{name}: " in said
    scores = json.loads((workdir / "evaluation.json").read_text())
    codes = open_codes(workdir / "codes")
    counted = sum(codes.manifest.histogram("test"))
    assert counted == codes.sizes["test"] * 4 * 4
    assert scores["num_examples"] == codes.sizes["test"]
    assert 1.0 <= scores["perplexity"] <= 16.0
    bounds = scores["bits_per_dim"]
    assert bounds["uniform"]["rate_bits_per_dim"] == pytest.approx(16 * 4 / (16 * 16 * 3))
    assert bounds["learned"]["rate_bits_per_dim"] == pytest.approx(
        16 * scores["prior_bits_per_code"] / (16 * 16 * 3), rel=1e-4
    )
    page = (workdir / "report.html").read_text(encoding="utf-8")
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert (workdir / "samples" / "samples.png").read_bytes().startswith(b"\x89PNG")


def test_the_export_agrees_with_the_run(finished):
    data, workdir, _ = finished
    loaded = tf.saved_model.load(str(workdir / "export" / "model" / "1"))
    image = tf.io.decode_png(tf.io.read_file(str(data / "above" / "0.png")))[None]
    codes = loaded.signatures["encode"](image=image)["codes"]
    assert codes.shape == (1, 4, 4)
    drawn = loaded.signatures["sample"](seed=tf.constant(3), label=tf.constant([0, 1]), temperature=tf.constant(1.0))
    assert drawn["image"].shape == (2, 16, 16, 3)


def test_once_more_does_nothing(command, finished):
    data, workdir, _ = finished
    before = {p: p.stat().st_mtime_ns for p in workdir.rglob("*") if p.is_file() and p.name != "config.flags"}
    said = command("train", *arguments(data, workdir))
    assert {p: p.stat().st_mtime_ns for p in before} == before
    assert said.count("already in") == 6


def test_the_resolved_flags_reproduce_the_run(command, finished, tmp_path):
    _, workdir, _ = finished
    command("train", f"--flagfile={workdir / 'config.flags'}", f"--workdir={tmp_path / 'again'}", "--stages=vqvae")
    digests = [json.loads((w / "vqvae" / "result.json").read_text())["digest"] for w in (workdir, tmp_path / "again")]
    assert digests[0] == digests[1]


def test_killed_at_any_moment_and_run_again_is_as_never_killed(command, finished, tmp_path):
    data, workdir, _ = finished
    typed = [sys.executable, "-m", "vq_vae_tf.commands.train", *arguments(data, tmp_path / "killed"), "--stages=vqvae"]
    process = subprocess.Popen(typed, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    checkpoints = tmp_path / "killed" / "vqvae" / "checkpoints"
    while process.poll() is None and time.monotonic() < deadline:
        if checkpoints.exists() and any(checkpoints.iterdir()):
            os.kill(process.pid, signal.SIGKILL)
            break
        time.sleep(0.001)
    assert process.wait() == -signal.SIGKILL
    command("train", *arguments(data, tmp_path / "killed"), "--stages=vqvae")
    digests = [json.loads((w / "vqvae" / "result.json").read_text())["digest"] for w in (workdir, tmp_path / "killed")]
    assert digests[0] == digests[1]


def test_other_commands_on_the_run(command, finished, tmp_path):
    data, workdir, _ = finished
    command("evaluate", f"--workdir={workdir}", "--eval_split=train", "--search_candidates=3", "--search_sweeps=2")
    scores = json.loads((workdir / "evaluation.json").read_text())
    assert (scores["split"], scores["searched"]["candidates"], scores["searched"]["sweeps"]) == ("train", 3, 2)
    assert scores["searched"]["normalised_mse"] < scores["normalised_mse"]
    both = (scores["searched"]["bits_per_dim"][name] for name in ("uniform", "learned"))
    assert all(bound["num_examples"] == scores["num_examples"] for bound in both)
    page = (workdir / "report.html").read_text()
    assert "Codes found by search" in page
    assert "each beside its two reconstructions" in page
    output = f"--output={tmp_path / 's.png'}"
    said = command("sample", f"--workdir={workdir}", "--classes=left", "--temperatures=0.5,1", output)
    assert "left 0.5, left 1" in said
    completed = [f"--complete={data / 'above' / '1.png'}", f"--output={tmp_path / 'c.png'}"]
    for classes, rows in (([], ["above", "left"]), (["--classes=left"], ["left"])):
        said = command("sample", f"--workdir={workdir}", *completed, *classes)
        assert f"rows of each picture: {', '.join(rows)}\n" in said
        picture = tf.io.decode_png((tmp_path / "c.png").read_bytes())
        assert picture.shape[0] == 2 * (len(rows) * (16 + 2) - 2)
    command("encode", f"--workdir={workdir}", f"--input=folder:{data}", f"--output={tmp_path / 'codes'}")
    other, own = open_codes(tmp_path / "codes"), open_codes(workdir / "codes")
    assert other.sizes == own.sizes
    assert other.names("train") == own.names("train")


def test_bad_input_is_one_sentence_and_status_2(command, finished, tmp_path):
    data, workdir, _ = finished
    cases = [
        (["train", *arguments(data, workdir), "--seed=5"], "holds another run: --seed=5"),
        (["train", *arguments(data, tmp_path / "a"), "--batch_size=1000"], "--batch_size=1000"),
        (["train", *arguments(data, tmp_path / "b"), "--num_embeddings=1"], "--num_embeddings=1"),
        (["train", *arguments(tmp_path / "nowhere", tmp_path / "c")], "nowhere"),
        (["train", *arguments(data, tmp_path / "d"), "--stages=vqvae,bake"], "--stages=vqvae,bake"),
        (["train", *arguments(data, tmp_path / "e"), "--image_size=10"], "multiple of 4"),
        (["train", *arguments(data, tmp_path / "g"), "--prior=parrot"], "--prior=parrot is not known"),
        (["evaluate", f"--workdir={workdir}", "--search_candidates=1"], "--search_candidates=1; expected 0"),
        (["train", *arguments(data, tmp_path / "f"), "--quantizer=residual", "--search_candidates=2"], "residual"),
        (["sample", f"--workdir={workdir}", "--classes=up"], "'up'"),
        (["sample", f"--workdir={workdir}", f"--complete={data / 'above' / '1.png'}", "--classes=up"], "'up'"),
        (["sample", f"--workdir={workdir}", "--temperatures=0"], "--temperatures"),
        (["sample", f"--workdir={workdir}", "--top_k=99"], "--top_k=99"),
        (["sample", f"--workdir={workdir}", f"--complete={workdir / 'config.flags'}"], "config.flags"),
        (["export", f"--workdir={workdir}", "--export_version=1"], "exists"),
        (["encode", f"--workdir={workdir}", f"--input=folder:{data}"], "--output"),
    ]
    for argv, message in cases:
        said = command(*argv, status=2)
        assert message in said, argv
        assert len([line for line in said.splitlines() if line.startswith(argv[0])]) == 1
    assert sorted(p.name for p in (workdir / "export" / "model").iterdir()) == ["1"]
    assert not (tmp_path / "g").exists(), "refused only after work"


def test_damage_is_named(command, finished, tmp_path):
    data, workdir, _ = finished
    for name in ("codes", "vqvae"):
        broken = tmp_path / name
        shutil.copytree(workdir, broken)
        victim = next((broken / name).glob("train-*.tfrecord" if name == "codes" else "*.h5"))
        victim.write_bytes(victim.read_bytes()[:-9])
        shutil.rmtree(broken / "prior")
        said = command("train", *arguments(data, broken), "--stages=codes,prior,evaluate", status=2)
        assert victim.name in said


def test_a_prior_over_another_models_codes_is_refused(command, finished, tmp_path):
    """Another VQ-VAE with its own codes stands in the run's place; sizes and shapes agree."""
    data, workdir, _ = finished
    other = tmp_path / "other"
    command("train", *arguments(data, other), "--seed=5", "--stages=vqvae,codes")
    mixed = tmp_path / "mixed"
    shutil.copytree(workdir, mixed)
    for name in ("vqvae", "codes"):
        shutil.rmtree(mixed / name)
        shutil.copytree(other / name, mixed / name)
    digest = json.loads((workdir / "vqvae" / "result.json").read_text())["digest"]
    for argv in (
        ["evaluate", f"--workdir={mixed}"],
        ["sample", f"--workdir={mixed}"],
        ["export", f"--workdir={mixed}"],
        ["train", *arguments(data, mixed), "--stages=prior"],
    ):
        said = command(*argv, status=2)
        assert f"was trained on codes of model {digest[:12]}" in said, argv
