"""bin/compress and bin/decompress as a user types them, and the evaluation that weighs what codes cost."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from vq_vae_tf.codes import open_codes
from vq_vae_tf.evaluation.reconstruction import as_served
from vq_vae_tf.packed import read_packed, write_packed
from vq_vae_tf.pipeline.decoding import decoder
from vq_vae_tf.pipeline.loading import load_vqvae, trained_pair
from vq_vae_tf.pipeline.run import open_run

pytestmark = pytest.mark.slow


def pixels(path: Path) -> np.ndarray:
    return tf.io.decode_image(path.read_bytes()).numpy()


@pytest.fixture(scope="module")
def trained(run, picture_folder, tmp_path_factory):
    random = np.random.default_rng(0)
    ramp = np.linspace(200, 20, 16)[:, None, None]
    data = picture_folder(12, lambda: np.clip(ramp + random.normal(0, 20, (16, 16, 3)), 0, 255).astype(np.uint8))
    workdir = tmp_path_factory.mktemp("compress") / "run"
    given = ["--flagfile=smoke.flags", f"--dataset=folder:{data}", f"--workdir={workdir}"]
    run(*given, "--prior_labels=false", "--stages=vqvae,codes,prior")
    return data, workdir


def test_pictures_come_back_as_the_decoder_makes_them(command, trained, tmp_path):
    data, workdir = trained
    said = command("compress", f"--workdir={workdir}", f"--input={data}", f"--output={tmp_path / 'x.vqpack'}")
    assert "24 pictures" in said
    assert "bits a code" in said
    packed = read_packed(tmp_path / "x.vqpack")
    assert packed.names[0] == "a/0.png"
    assert sum(map(len, packed.messages)) < 24 * 16 * 4 / 8  # 16 codes of four bits
    command("decompress", f"--workdir={workdir}", f"--input={tmp_path / 'x.vqpack'}", f"--output={tmp_path / 'out'}")
    vqvae, _ = load_vqvae(open_run(str(workdir)))
    codes = vqvae.encode(np.stack([pixels(data / name) for name in packed.names]))
    for name, expected in zip(packed.names, as_served(decoder(vqvae)(codes)), strict=True):
        np.testing.assert_array_equal(pixels(tmp_path / "out" / name), expected)


def test_search_makes_the_file_smaller_where_bits_weigh(command, trained, tmp_path):
    data, workdir = trained
    sizes = []
    for weight in (0.0, 30.0):
        searched = ["--search_candidates=8", f"--search_rate_weight={weight}"]
        output = tmp_path / f"{weight}.vqpack"
        command("compress", f"--workdir={workdir}", f"--input={data}", f"--output={output}", *searched)
        sizes.append(sum(map(len, read_packed(output).messages)))
    assert sizes[1] < sizes[0]
    command(
        "evaluate", f"--workdir={workdir}", "--search_candidates=8", "--search_rate_weight=30", "--eval_split=train"
    )
    scores = json.loads((workdir / "evaluation.json").read_text())
    found = scores["searched"]
    expected = found["bits_per_dim"]["learned"]["rate_bits_per_dim"] * 16 * 16 * 3 / 16
    assert found["rate_weight"] == 30.0
    assert expected - 0.01 <= found["message_bits_per_code"] <= expected + 8 / 16
    assert "bits a code, coded" in (workdir / "report.html").read_text()


def test_an_evaluation_that_was_stopped_goes_on_with_the_codes_it_has_found(command, trained):
    _, workdir = trained
    typed = ("evaluate", f"--workdir={workdir}", "--search_candidates=4", "--eval_split=train", "--eval_batch_size=8")

    def searched():
        command(*typed)
        return json.loads((workdir / "evaluation.json").read_text())["searched"]

    whole = searched()
    kept = sorted((workdir / "searched").glob("*/*.npz"))
    assert sum(len(np.load(path)["codes"]) for path in kept) == 23
    (workdir / "searched" / "notes.txt").write_text("the user's own")
    kept[0].unlink()
    kept[1].write_bytes(kept[1].read_bytes()[:150])
    assert searched() == whole
    flipped = bytearray(kept[2].read_bytes())
    flipped[flipped.index(b"NUMPY") + 130] ^= 1
    kept[2].write_bytes(flipped)
    assert searched() == whole
    with np.load(kept[2]) as file:
        np.savez(kept[2], codes=np.full_like(file["codes"], 15))
    assert searched() != whole  # so what is there is taken
    command(*typed, "--search_candidates=5")
    assert not any(path.exists() for path in kept)
    assert searched() == whole


def test_every_picture_keeps_the_bytes_it_may_have(command, trained, tmp_path):
    data, workdir = trained
    work, limited = f"--workdir={workdir}", ["--search_candidates=6", "--search_sweeps=3"]
    lengths = {}
    for most in (0, 6):
        output = tmp_path / f"{most}.vqpack"
        command("compress", work, f"--input={data}", f"--output={output}", *limited, f"--search_bytes={most}")
        lengths[most] = list(map(len, read_packed(output).messages))
    assert max(lengths[6]) <= 6 < max(lengths[0])
    command("evaluate", work, *limited, "--search_bytes=6", "--eval_split=train")
    found = json.loads((workdir / "evaluation.json").read_text())["searched"]
    assert found["message_bytes"] == {"limit": 6, "longest": max(lengths[6]), "images_above": 0}
    assert found["message_bits_per_code"] == pytest.approx(
        8 * np.mean(lengths[6]) / 16, rel=0.02
    )  # the split lacks one picture
    page = (workdir / "report.html").read_text()
    assert "An image may have 6 bytes" in page
    assert "images above the limit" not in page
    none = tmp_path / "none.vqpack"
    said = command("compress", work, f"--input={data}", f"--output={none}", *limited, "--search_bytes=1", status=2)
    assert "a/0.png: no coding within --search_bytes=1 was found, the last tried has" in said
    assert not none.exists()


def test_other_pictures_are_encoded_by_search_too(command, trained, tmp_path):
    data, workdir = trained
    opened = open_run(str(workdir))
    vqvae, prior = trained_pair(opened)
    pictures = opened.modality.open_other(opened, f"folder:{data}")
    x = np.concatenate([batch["x"].numpy() for batch in pictures.examples("train", 50)])
    found = {}
    for name, flags in {
        "own": [],
        "searched": ["--search_candidates=8"],
        "cheap": ["--search_candidates=8", "--search_rate_weight=3"],
    }.items():
        output = tmp_path / name
        command("encode", f"--workdir={workdir}", f"--input=folder:{data}", f"--output={output}", *flags)
        codes = open_codes(output)
        assert codes.names("train")[0] == "a/0.png"
        found[name] = np.concatenate([batch["codes"].numpy() for batch in codes.examples("train", 50)])
    np.testing.assert_array_equal(found["own"], vqvae.encode(x))
    loss = {name: np.asarray(vqvae.code_loss(codes, x)) for name, codes in found.items()}
    rate = {name: -np.asarray(prior.log_prob(codes)) for name, codes in found.items()}
    assert (loss["searched"] <= loss["own"] + 1e-3).all()
    assert loss["searched"].mean() < loss["own"].mean() - 0.1
    assert (loss["cheap"] + 3 * rate["cheap"] <= loss["own"] + 3 * rate["own"] + 1e-3).all()
    assert rate["cheap"].mean() < rate["searched"].mean() - 0.1


def test_what_a_run_searches_itself_is_not_asked_of_other_pictures(command, trained, tmp_path):
    data, workdir = trained
    searching = tmp_path / "run"
    shutil.copytree(workdir, searching, ignore=shutil.ignore_patterns("prior", "checkpoints"))
    config = searching / "config.flags"
    stored = {"search_candidates": "8", "search_rate_weight": "3.0", "search_bytes": "6"}
    lines = [line for line in config.read_text().splitlines() if line[2:].partition("=")[0] not in stored]
    config.write_text("\n".join([*lines, *(f"--{name}={value}" for name, value in stored.items())]) + "\n")
    command("encode", f"--workdir={searching}", f"--input=folder:{data}", f"--output={tmp_path / 'codes'}")
    opened = open_run(str(searching))
    vqvae, pictures = load_vqvae(opened)[0], opened.modality.open_other(opened, f"folder:{data}")
    codes = open_codes(tmp_path / "codes")
    for found, given in zip(codes.examples("train", 50), pictures.examples("train", 50), strict=True):
        np.testing.assert_array_equal(found["codes"], vqvae.encode(given["x"]))


def test_names_stay_below_the_folder_and_apart(command, trained, tmp_path):
    data, workdir = trained
    one = tmp_path / "x.vqpack"
    files = ",".join(str(data / "a" / f"{i}.png") for i in range(4))
    command("compress", f"--workdir={workdir}", f"--input={files}", f"--output={one}")
    write_packed(one, replace(read_packed(one), names=("../../up.jpg", "same.png", "same.gif", "/..")))
    command("decompress", f"--workdir={workdir}", f"--input={one}", f"--output={tmp_path / 'out' / 'in'}")
    found = sorted(str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*.png"))
    assert found == ["in/picture.png", "in/same-2.png", "in/same.png", "in/up.png"]


def test_bad_input_is_one_sentence_and_status_2(command, trained, run, tmp_path):
    data, workdir = trained
    one, other, bad = tmp_path / "x.vqpack", tmp_path / "other.vqpack", tmp_path / "bad.png"
    command("compress", f"--workdir={workdir}", f"--input={data / 'a'}", f"--output={one}")
    packed = read_packed(one)
    bad.write_bytes(b"no picture")
    work = f"--workdir={workdir}"
    write_packed(other, replace(packed, prior="0" * 64))
    cases = [
        ("compress", [work, f"--output={one}"], "--input is missing"),
        ("compress", [work, f"--input={tmp_path / 'none'}", f"--output={one}"], "no such file or folder"),
        ("compress", [work, f"--input={bad},{data / 'a' / '0.png'}", f"--output={one}"], "bad.png"),
        ("compress", [work, f"--input={bad}", f"--output={one}"], "readable picture"),
        ("compress", [work, f"--input={data}", f"--output={bad / 'x'}"], "cannot be written"),
        ("compress", [work, f"--input={data}", f"--output={one}", "--search_candidates=1"], "--search_candidates=1"),
        ("compress", [work, f"--input={data}", f"--output={one}", "--search_rate_weight=1"], "for a search"),
        ("compress", [work, f"--input={data}", f"--output={one}", "--search_bytes=9"], "for a search"),
        ("decompress", [work, f"--input={one}"], "--output"),
        ("decompress", [work, f"--input={bad}", f"--output={tmp_path / 'o'}"], "no file of packed codes"),
        ("decompress", [work, f"--input={other}", f"--output={tmp_path / 'o'}"], "another prior"),
        ("evaluate", [work, "--search_rate_weight=1"], "for a search"),
        ("encode", [work, "--search_candidates=2"], "--search_ flags are for --input"),
        ("encode", [work, f"--input=folder:{data}", f"--output={one.parent / 'o'}", "--search_sweeps=2"], "a search"),
        ("encode", [work, f"--input=folder:{data}", f"--output={one.parent / 'o'}", "--search_candidates=99"], "99"),
    ]
    for name, argv, message in cases:
        said = command(name, *argv, status=2)
        assert message in said, (name, argv)
        assert len([line for line in said.splitlines() if line.startswith(name)]) == 1
    changed = tuple(bytes([b ^ 1 for b in m]) for m in packed.messages)
    write_packed(other, replace(packed, messages=changed))
    said = command("decompress", work, f"--input={other}", f"--output={tmp_path / 'o'}", status=2)
    assert "was not read as it was written" in said or "cannot be read" in said
    assert not (tmp_path / "o").exists()
    assert read_packed(one) == packed


def test_a_prior_that_wants_classes_is_named(command, trained, run, tmp_path):
    data, _ = trained
    workdir = tmp_path / "run"
    given = ["--flagfile=smoke.flags", f"--dataset=folder:{data}", f"--workdir={workdir}"]
    short = ["--steps=1", "--warmup_steps=0", "--prior_steps=1", "--prior_warmup_steps=0"]
    run(*given, *short, "--stages=vqvae,codes")
    said = command("compress", f"--workdir={workdir}", f"--input={data}", f"--output={tmp_path / 'x'}", status=2)
    assert "no trained prior" in said
    said = command("evaluate", f"--workdir={workdir}", "--search_candidates=2", "--search_rate_weight=1", status=2)
    assert "needs a learned prior" in said
    weighed = ["--search_candidates=2", "--search_rate_weight=1", f"--output={tmp_path / 'y'}"]
    encode = "encode", f"--workdir={workdir}", f"--input=folder:{data}", *weighed
    assert "needs a learned prior" in command(*encode, status=2)
    run(*given, *short, "--stages=prior")
    assert "--prior_labels=false" in command(*encode, status=2)
    assert not (tmp_path / "y").exists()
    said = command("compress", f"--workdir={workdir}", f"--input={data}", f"--output={tmp_path / 'x'}", status=2)
    assert "--prior_labels=false" in said
