"""The whole chain on a world of one bright square that moves as the actions say."""

from __future__ import annotations

import io
import json
import re
import shutil
import sys
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from vq_vae_tf import config
from vq_vae_tf import consensus as consensus_of_draws
from vq_vae_tf.build_network import SEVERAL_CODES
from vq_vae_tf.build_options import foresight_options
from vq_vae_tf.codes import open_codes
from vq_vae_tf.commands import sample, train
from vq_vae_tf.consensus import SHARPENING, SHARPENING_EXPECTED
from vq_vae_tf.dynamics import learn_camera
from vq_vae_tf.errors import UserError
from vq_vae_tf.pipeline import camera, consensus, foresight, imagining, video, video_scoring
from vq_vae_tf.pipeline.camera import learned_camera
from vq_vae_tf.pipeline.imagining import Windows, code_squares, codes_and_actions, parse_actions, transitions
from vq_vae_tf.pipeline.loading import load_vqvae, trained_pair
from vq_vae_tf.pipeline.modality import Draw
from vq_vae_tf.pipeline.run import open_run
from vq_vae_tf.pipeline.scoring import measured

SIZE, LENGTH, PAST, FUTURE = 16, 6, 2, 3
CAMERA_STEPS = (2, 2, 4)
SMALL = (
    "units=16 residual_units=8 residual_blocks=1 num_embeddings=8 embedding_dim=8 steps=10 batch_size=4 prior_units=8 "
    "prior_layers=1 prior_steps=6 prior_batch_size=4 prior_warmup_steps=2 past_units=8 past_layers=1 eval_batch_size=9 "
    "camera_depths=2 foresight_steps=4 "
    "log_every=5 checkpoint_every=10 learning_rate=1e-3 modality=video "
    f"clip_length={LENGTH} past_frames={PAST} future_frames={FUTURE}"
)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder, random = tmp_path_factory.mktemp("world"), np.random.default_rng(0)
    for number in range(6):
        episode, place = folder / f"episode{number}", random.integers(0, SIZE)
        episode.mkdir()
        actions = random.choice(["left", "right"], LENGTH)
        for t, action in enumerate(actions):
            image = np.full((SIZE, SIZE, 3), 20, np.uint8)
            image[4:9, (place + np.arange(5)) % SIZE] = (220, 180, 40)
            (episode / f"{t:06d}.png").write_bytes(tf.io.encode_png(image).numpy())
            place = (place + (3 if action == "right" else -3)) % SIZE
        (episode / "actions.txt").write_text("\n".join(actions))
    return folder


def opened(path):
    return Image.open(io.BytesIO(path.read_bytes()))


def call(monkeypatch, module, name, *argv):
    monkeypatch.setattr(sys, "argv", [name, *argv])
    return module.main()


@pytest.fixture(scope="module")
def finished(world, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("run") / "run"
    flags = [f"--{part}" for part in SMALL.split()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learn_camera, "STEPS", CAMERA_STEPS)
        assert call(patch, train, "train", *flags, f"--dataset=folder:{world}", f"--workdir={workdir}") == 0
    return workdir


def test_the_camera_is_learned_once_and_is_the_trained_models(finished, tmp_path, monkeypatch):
    run = open_run(finished)
    kept, (vqvae, dynamics) = learned_camera(run, None, chief=False), trained_pair(run)
    for mine, stored in zip(dynamics.past.parallax[0].get_weights(), kept, strict=True):
        np.testing.assert_array_equal(mine, stored)
    fresh = run.modality.build_prior(run.config, open_codes(run.codes).manifest).past
    fresh.show(code_squares(vqvae))
    np.testing.assert_allclose(fresh.parallax[0].looks, dynamics.past.parallax[0].looks, atol=1e-6)
    moved = [np.abs(a - b).max() for a, b in zip(fresh.parallax[0].camera.get_weights(), kept[3:], strict=True)]
    assert min(moved) > 0  # it has learned

    def never(*given):
        raise AssertionError("learned again")

    monkeypatch.setattr(camera, "learn_camera", never)
    shutil.copytree(finished, tmp_path / "more")
    (tmp_path / "more/prior/result.json").unlink()
    start = run.modality.prior_start(open_run(tmp_path / "more"))
    again = run.modality.build_prior(run.config, open_codes(run.codes).manifest)
    start(again)
    np.testing.assert_array_equal(again.past.parallax[0].get_weights()[3], kept[3])


def test_workers_wait_for_the_chiefs_camera(finished, tmp_path, monkeypatch):
    shutil.copytree(finished, tmp_path / "run")
    run, slept = open_run(tmp_path / "run"), []
    file = run.prior / camera.FILE
    file.rename(tmp_path / "away.npz")

    def sleep(seconds):
        slept.append(seconds)
        if len(slept) == 3:
            (tmp_path / "away.npz").rename(file)

    monkeypatch.setattr(camera.time, "sleep", sleep)
    assert len(learned_camera(run, None, chief=False)) == 11
    assert len(slept) == 3
    whole = file.read_bytes()
    for damaged in (whole[:1000], b""):
        file.write_bytes(damaged)
        with pytest.raises(UserError, match=r"camera.npz is damaged .*; delete it"):
            learned_camera(run, None, chief=True)


def test_a_camera_of_another_models_codes_is_learned_anew(finished, tmp_path, monkeypatch):
    shutil.copytree(finished, tmp_path / "run")
    run, asked = open_run(tmp_path / "run"), []
    squares, file = code_squares(load_vqvae(run)[0]), run.prior / camera.FILE
    with np.load(file) as stored:
        np.savez(file, **{**stored, "model": np.array("another")})
    monkeypatch.setattr(camera, "learn_camera", lambda *given: asked.append(given))
    (looks,) = (w for w in learned_camera(run, squares, chief=True) if w.size == squares.size)
    assert len(asked) == 1
    np.testing.assert_allclose(looks.reshape(-1), ((squares - squares.mean()) / squares.std()).reshape(-1), atol=1e-4)
    learned_camera(run, squares, chief=True)
    assert len(asked) == 1

    @contextmanager
    def full(path):
        raise OSError(28, "No space left on device")
        yield

    file.unlink()
    monkeypatch.setattr(camera, "replacing", full)
    with pytest.raises(UserError, match=r"camera.npz could not be written \(No space left on device\)"):
        learned_camera(run, squares, chief=True)


def test_a_start_from_another_run_keeps_ones_own_camera(finished, world, tmp_path, monkeypatch):
    """The looks and the camera of the other run are of its codes."""
    flags = [f"--{part}" for part in SMALL.split()]
    monkeypatch.setattr(learn_camera, "STEPS", CAMERA_STEPS)
    more = [
        f"--start_from={finished}",
        f"--workdir={tmp_path / 'more'}",
        "--stages=vqvae,codes,prior",
        "--prior_steps=2",
    ]
    assert call(monkeypatch, train, "train", *flags, f"--dataset=folder:{world}", *more) == 0
    run = open_run(tmp_path / "more")
    vqvae, dynamics = trained_pair(run)
    parallax, theirs = dynamics.past.parallax[0], trained_pair(open_run(finished))[1].past.parallax[0]
    for mine, stored in zip(parallax.get_weights(), learned_camera(run, None, chief=False), strict=True):
        np.testing.assert_array_equal(mine, stored)
    squares = code_squares(vqvae).reshape(8, -1).astype(np.float32)
    np.testing.assert_allclose(parallax.looks, (squares - squares.mean()) / squares.std(), atol=1e-3)
    assert np.abs(np.asarray(parallax.camera.step.kernel) - np.asarray(theirs.camera.step.kernel)).max() > 0


def test_the_numbers_and_the_page(finished):
    scores = json.loads((finished / "evaluation.json").read_text())
    clips = open_codes(finished / "codes").sizes["test"]
    assert scores["num_frames"] == clips * LENGTH
    scored = scores["rollouts"]["test"]
    assert scored["num_windows"] == clips
    for name in ("rollout", "consensus", "mean_of_rollouts", "expected", "copy_last", "mean_frame", "reconstruction"):
        frames = foresight.AHEAD if name == "expected" else FUTURE
        assert len(scored[name]["psnr"]) == len(scored[name]["ssim"]) == frames
    assert 0 < scored["bits_per_frame"]["true"] < 100
    assert scored["bits_per_frame"]["true"] != scored["bits_per_frame"]["shuffled"]
    assert scored["turning"]["real_left_pixels"] < 0 < scored["turning"]["real_right_pixels"]
    assert scores["rollout_frames_per_second"] > 0
    page = (finished / "report.html").read_text()
    assert page.count('class="crisp"') == 2 * clips
    assert "Frame by frame: test" in page


@pytest.mark.parametrize(("count", "sizes"), [(1, [1]), (5, [5]), (32, [32]), (35, [32, 32])])
def test_rollouts_go_so_many_at_a_time_and_few_are_not_filled_up(count, sizes, monkeypatch):
    met = []

    def loop(past, actions, seed, temperature):
        met.append(len(past))
        return past[:, :1] + actions[:, 1:, None, None]

    monkeypatch.setattr(imagining, "_compiled", lambda *settings: loop)
    past = np.arange(count * 2).reshape(count, 2, 1, 1).repeat(3, 2).repeat(3, 3)
    actions = np.random.default_rng(0).integers(0, 5, (count, 4))
    made = imagining.imagine(None, past, actions, Draw(0))
    np.testing.assert_array_equal(made, past[:, :1] + actions[:, 1:, None, None])
    assert met == sizes


@pytest.mark.parametrize(("count", "size"), [(3, 3), (40, 32)])
def test_the_speed_is_that_of_rollouts_already_compiled(count, size, monkeypatch):
    x, now, met = np.zeros((count, PAST + FUTURE, 4, 4, 3), np.uint8), [0.0], []
    given = Windows(
        x, np.zeros((count, PAST + FUTURE, 2, 2), np.int32), np.zeros((count, PAST + FUTURE), np.int32), PAST
    )

    def imagine(dynamics, past, actions, draw):
        now[0] += 2.0
        met.append((past.shape, actions.shape))

    video = SimpleNamespace(past_frames=PAST, future_frames=FUTURE)
    run = SimpleNamespace(data=None, config=SimpleNamespace(video=video, run=SimpleNamespace(seed=0)))
    monkeypatch.setattr(video_scoring, "windows", lambda *asked: given)
    monkeypatch.setattr(video_scoring, "imagine", imagine)
    monkeypatch.setattr(video_scoring, "decoded", lambda vqvae, codes: None)
    monkeypatch.setattr(video_scoring.time, "perf_counter", lambda: now[0])
    assert video_scoring._speed(run, None, None, None, "test") == size * FUTURE / 2.0
    assert met == [((size, PAST, 2, 2), (size, PAST + FUTURE - 1))]


@pytest.mark.parametrize("foresees", [None, "foresight"])
def test_futures_of_several_seeds_their_mean_their_consensus_and_how_far_they_are_apart(monkeypatch, foresees):
    x = np.arange(3, dtype=np.uint8)[:, None, None, None, None] * np.ones((1, PAST + FUTURE, 4, 4, 3), np.uint8)
    given = Windows(x, np.zeros((3, PAST + FUTURE, 2, 2), np.int32), np.zeros((3, PAST + FUTURE), np.int32), PAST)

    def by_seed(dynamics, past, actions, draw):
        assert draw.temperature == 0.7
        return np.full((3, FUTURE, 2, 2), draw.seed)

    def agreed(vqvae, codings, before, expected):
        assert expected == (foresees and "expected")
        assert codings.shape == (video_scoring.SEEDS, 3, FUTURE, 2, 2)
        np.testing.assert_array_equal(before, x[:, :PAST])
        return "agreed"

    monkeypatch.setattr(imagining, "imagine", by_seed)
    monkeypatch.setattr(
        video_scoring, "decoded", lambda vqvae, codes: np.full_like(given.truth, codes[0, 0, 0, 0] ** 2 // 2)
    )

    def expected_films(foresight, before, past, actions, codings):
        assert foresight == foresees
        np.testing.assert_array_equal(before, x[:, :PAST])
        assert past.shape == (3, PAST, 2, 2)
        assert actions.shape == (3, PAST + FUTURE - 1)
        assert codings[5, 0, 0, 0, 0] == 8
        return foresees and "expected"

    monkeypatch.setattr(video_scoring, "expected_films", expected_films)
    monkeypatch.setattr(video_scoring, "consensus_films", agreed)
    first, mean, expected, found, apart = video_scoring._futures(None, None, foresees, given, Draw(3, temperature=0.7))
    assert expected == (foresees and "expected")
    grey = (3 + np.arange(video_scoring.SEEDS)) ** 2 // 2
    assert (first == 4).all()
    assert (mean == grey.mean()).all()
    assert found == "agreed"
    np.testing.assert_allclose(apart, [grey.std(ddof=1)] * FUTURE, rtol=1e-5)


def test_seeds_of_futures_start_again_behind_the_last_number(monkeypatch):
    seeds = []
    monkeypatch.setattr(imagining, "imagine", lambda dynamics, past, actions, draw: seeds.append(draw.seed) or 0)
    imagining.futures(None, None, None, Draw(2**31 - 1), 16)
    assert np.array(seeds).astype(np.int32).tolist() == seeds == [2**31 - 1, *range(15)]


@pytest.mark.parametrize(("films", "sizes"), [(1, [3]), (7, [16, 16])])
def test_a_consensus_is_composed_frame_by_frame_as_sharp_as_what_was_given(films, sizes, monkeypatch):
    codings = np.random.default_rng(0).integers(0, 50, (2, films, FUTURE, 2, 2)).astype(np.int32)
    given = np.zeros((films, PAST, 4, 4, 3), np.uint8)
    given[:, :, ::2] = 255 * (np.arange(films) % 2)[:, None, None, None, None]  # every other film is striped
    met = []

    def compose(drawn, wanted, aim):
        met.append(drawn.shape[1])
        aimed = 0 if aim is None else tf.cast(aim[:, :2, :2, 0], tf.int32)
        return drawn[1] + tf.cast(wanted > 0.5, tf.int32)[:, None, None] + aimed

    worth = []
    monkeypatch.setattr(consensus, "_compiled", lambda vqvae, sharpening: worth.append(sharpening) or compose)
    monkeypatch.setattr(consensus, "decoded", lambda vqvae, codes: codes)
    striped = (np.arange(films) % 2)[:, None, None, None]
    np.testing.assert_array_equal(consensus.consensus_films(None, codings, given), codings[1] + striped)
    assert met == sizes
    aim = np.random.default_rng(1).integers(0, 9, (films, FUTURE, 4, 4, 3)).astype(np.float32)
    for first in (1, FUTURE):  # the frames after those aim at what the futures have in common alone
        made = consensus.consensus_films(None, codings, given, aim[:, :first])
        aimed = np.where(np.arange(FUTURE)[:, None, None] < first, aim[..., :2, :2, 0], 0)
        np.testing.assert_array_equal(made, codings[1] + striped + aimed)
    np.testing.assert_array_equal(consensus.consensus_films(None, codings[:1], given), codings[0])
    assert met == [*sizes, films, 2 * films, films, 2 * films]
    consensus.consensus_films(None, codings, given, aim, sharpening=0.0)
    assert worth == [SHARPENING, SHARPENING_EXPECTED[0], SHARPENING, *SHARPENING_EXPECTED, 0.0, 0.0]


def test_a_film_that_is_expected_is_at_least_as_near_as_what_the_encoder_makes_of_it(finished, monkeypatch):
    monkeypatch.setattr(consensus_of_draws, "TRUST", 1.0)
    monkeypatch.setattr(consensus_of_draws, "MASK", 0.0)
    run = open_run(finished)
    vqvae, _ = load_vqvae(run)
    codings = np.zeros((2, 2, FUTURE, 4, 4), np.int32)
    x = next(iter(run.data.clips("train", 2)))["x"].numpy()
    given, expected = x[:, :PAST], x[:, PAST : PAST + FUTURE]
    made = consensus.consensus_films(vqvae, codings, given, expected, sharpening=0.0)
    coded = vqvae.encode(expected.reshape(-1, *expected.shape[2:]))
    plain = imagining.decoded(vqvae, np.reshape(coded, (2, FUTURE, 4, 4)))
    errors = [np.square(films - expected.astype(np.float32)).mean((2, 3, 4)) for films in (made, plain)]
    assert (errors[0] <= errors[1] + 0.5).all()  # decoded frames are whole grey levels
    drawn = imagining.decoded(vqvae, codings[0])
    assert errors[0].mean() < np.square(drawn - expected.astype(np.float32)).mean() - 1


def test_what_is_expected_follows_the_past_of_each_future(monkeypatch):
    random = np.random.default_rng(0)
    past, codings = random.integers(0, 9, (5, PAST, 2, 2)), random.integers(0, 9, (3, 5, FUTURE, 2, 2))
    actions, met = random.integers(0, 2, (5, PAST - 1 + FUTURE)), []

    given = random.integers(0, 9, (5, PAST, 1, 1, 3)).astype(np.uint8)

    def expect(frames, known, before, taken):  # a picture of one pixel that tells past and actions in their order
        met.append(len(before))
        told = tf.reduce_sum(before[:, :, 0, 0] * [1, 10], 1) + 100 * tf.reduce_sum(taken * [1, 2], 1)
        of_frames = tf.cast(frames[:, :, 0, 0, 0], tf.int64) * tf.cast(known, tf.int64)
        told += 1000 * tf.reduce_sum(of_frames * [1, 10], 1) + 1000_000 * tf.reduce_sum(tf.cast(known, tf.int64), 1)
        return tf.cast(told, tf.float32)[:, None, None, None]

    monkeypatch.setattr(foresight, "_compiled", lambda model: expect)
    monkeypatch.setattr(foresight, "_PICTURES", 4)
    assert foresight.expected_films(None, given, past, actions, codings) is None
    made = foresight.expected_films("foresight", given, past, actions, codings)
    assert made.shape == (5, foresight.AHEAD, 1, 1, 1)
    assert foresight.expected_films("foresight", given, past, actions, codings[:, :, :1]).shape == (5, 1, 1, 1, 1)
    assert set(met) == {4}
    for n, t in np.ndindex(5, foresight.AHEAD):
        whole = [np.concatenate([past[n], future[n]])[:, 0, 0] for future in codings]
        told = [w[t] + 10 * w[t + 1] + 100 * (actions[n, t] + 2 * actions[n, t + 1]) for w in whole]
        seen = given[n, t:, 0, 0, 0].astype(int)  # what is given is known, what is imagined is not
        told = np.array(told) + 1000 * (seen * [1, 10][: len(seen)]).sum() + 1000_000 * len(seen)
        assert made[n, t, 0, 0, 0] == pytest.approx(np.mean(told), rel=1e-6)


def test_foresight_trains_on_frames_with_those_before_them_the_newest_of_which_may_be_hidden(finished):
    run = open_run(finished)
    codes = open_codes(finished / "codes")
    clips, actions = (np.asarray(part) for part in codes_and_actions(codes, "train"))
    films = np.concatenate([batch["x"].numpy() for batch in run.data.clips("train", 8)])
    count = len(clips) * (LENGTH - PAST)
    batches = foresight.seen_transitions(run.data, codes, PAST, batch_size=count, seed=0)
    hidden, met = [], []
    for batch in batches.take(24):
        batch = {name: value.numpy() for name, value in batch.items()}
        seen = set()
        for n in range(count):
            at = [(c, t) for c in range(len(clips)) for t in range(PAST, LENGTH)
                  if (films[c, t - PAST : t] == batch["frames"][n]).all() and (films[c, t] == batch["x"][n]).all()
                  and (clips[c, t - PAST : t] == batch["past"][n]).all()
                  and (actions[c, t - PAST : t] == batch["actions"][n]).all()]  # fmt: skip
            assert at
            seen |= set(at)
        assert len(seen) == count
        assert (np.diff(batch["known"], axis=1) <= 0).all()  # the newest ones
        hidden.append(PAST - batch["known"].sum(1))
        met.append(batch["x"][0])
    share = np.bincount(np.concatenate(hidden), minlength=PAST + 1) / (24 * count)
    np.testing.assert_allclose(share, [0.75, 0.125, 0.125], atol=0.06)
    later = next(iter(foresight.seen_transitions(run.data, codes, PAST, batch_size=count, seed=0, start_step=1)))
    np.testing.assert_array_equal(later["x"][0], met[1])


def test_every_other_of_the_frames_that_are_known_is_mirrored_with_its_actions(finished):
    run, codes = open_run(finished), open_codes(finished / "codes")
    count = codes.sizes["train"] * (LENGTH - PAST)
    plain, turned = (
        foresight.seen_transitions(run.data, codes, PAST, batch_size=count, seed=0, mirrored=mirrored).take(24)
        for mirrored in (False, True)
    )
    mirrored = []
    for before, after in zip(plain, turned, strict=True):
        before, after = ({name: value.numpy() for name, value in batch.items()} for batch in (before, after))
        np.testing.assert_array_equal(before["known"], after["known"])
        for n in range(count):
            changed = (before["actions"][n] != after["actions"][n]).any()
            flip = slice(None, None, -1 if changed else 1)
            np.testing.assert_array_equal(after["frames"][n], before["frames"][n][:, :, flip])
            np.testing.assert_array_equal(after["x"][n], before["x"][n][:, flip])
            np.testing.assert_array_equal(after["actions"][n], before["actions"][n] ^ changed)  # left is 0, right is 1
            assert not changed or before["known"][n].all()
            mirrored.append(changed)
    assert np.mean(mirrored) == pytest.approx(0.375, abs=0.06)


def test_foresight_is_of_its_run_and_goes_on_where_it_was(finished, world, tmp_path, monkeypatch, capsys):
    run = open_run(finished)
    model = foresight.load_foresight(run)
    vqvae, _ = load_vqvae(run)
    kept = learned_camera(run, None, chief=False)
    for mine, theirs in zip(model.parallax.camera.get_weights(), kept[3:], strict=True):
        np.testing.assert_array_equal(mine, theirs)
    squares = code_squares(vqvae).astype(np.float32)
    np.testing.assert_allclose(model.level, [squares.mean(), squares.std()], rtol=1e-4)
    digests = json.loads((finished / "evaluation.json").read_text())["measured"]["digests"]
    assert digests["foresight"] == json.loads((finished / "foresight/result.json").read_text())["digest"]
    flags = [*(f"--{part}" for part in SMALL.split()), f"--dataset=folder:{world}", "--stages=prior"]
    monkeypatch.setattr(learn_camera, "STEPS", CAMERA_STEPS)
    more = shutil.copytree(finished, tmp_path / "more")
    (more / "foresight/result.json").unlink()
    (more / "foresight/model.weights.h5").unlink()
    assert call(monkeypatch, train, "train", *flags, f"--workdir={more}") == 0
    again = json.loads((more / "foresight/result.json").read_text())
    assert again["digest"] == digests["foresight"]
    assert call(monkeypatch, train, "train", *flags, f"--workdir={more}", "--foresight_steps=5") == 2
    assert "--foresight_steps=5 (was 4)" in capsys.readouterr().err
    shutil.rmtree(more / "foresight")  # what was there before there was such a flag has none, and may get one
    assert foresight.load_foresight(open_run(more)) is None
    assert call(monkeypatch, train, "train", *flags, f"--workdir={more}", "--foresight_steps=5") == 0
    assert json.loads((more / "foresight/result.json").read_text())["steps"] == 5
    (more / "foresight/source.json").write_text('{"codes_of_model": "another"}')
    with pytest.raises(UserError, match="was trained on codes of model another"):
        foresight.load_foresight(open_run(more))


def test_foresight_refuses_other_data_than_was_encoded(finished, tmp_path):
    run, codes = open_run(finished), open_codes(finished / "codes")
    other = SimpleNamespace(name="folder:other", sizes={"train": run.data.sizes["train"] - LENGTH})
    elsewhere = SimpleNamespace(foresight=tmp_path / "none", config=run.config, codes=run.codes, data=other)
    with pytest.raises(UserError, match=f"codes of {run.data.sizes['train']} training frames, but folder:other has"):
        foresight.train_foresight(elsewhere, codes, tf.distribute.get_strategy())
    assert not (tmp_path / "none").exists()


def test_foresight_without_a_camera_is_refused_before_any_work(world, tmp_path, monkeypatch, capsys):
    flags = [*(f"--{part}" for part in SMALL.split()), f"--dataset=folder:{world}", f"--workdir={tmp_path / 'run'}"]
    assert call(monkeypatch, train, "train", *flags, "--camera_depths=0") == 2
    assert "--foresight_steps=4 with --camera_depths=0" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_codes_lie_beside_the_actions_that_belong_to_them(finished, world):
    codes = open_codes(finished / "codes")
    assert codes.manifest.code_shape == (LENGTH, 4, 4)
    assert codes.manifest.class_names == ("left", "right")
    coded, actions = codes_and_actions(codes, "train")
    assert coded.shape[0] == actions.shape[0] == codes.sizes["train"]
    written = {tuple((world / f"episode{n}" / "actions.txt").read_text().split()) for n in range(6)}
    assert {tuple(codes.manifest.class_names[a] for a in row) for row in np.asarray(actions)} <= written


def test_a_transition_is_a_frame_with_those_before_it_and_the_action_between(finished):
    codes = open_codes(finished / "codes")
    clips, actions = (np.asarray(part) for part in codes_and_actions(codes, "train"))
    count = len(clips) * (LENGTH - PAST)
    batch = next(iter(transitions(codes, PAST, batch_size=count, seed=0)))
    seen = set()
    for now, past, taken in zip(*(batch[name].numpy() for name in ("codes", "past", "actions")), strict=True):
        whole = np.concatenate([past, now[None]])
        at = [(c, t) for c in range(len(clips)) for t in range(PAST, LENGTH)
              if (clips[c, t - PAST : t + 1] == whole).all() and (actions[c, t - PAST : t] == taken).all()]  # fmt: skip
        assert at
        seen |= set(at)
    assert len(seen) == count
    later = next(iter(transitions(codes, PAST, batch_size=2, seed=0, start_step=1)))
    np.testing.assert_array_equal(later["codes"], batch["codes"][2:4])


def test_films_of_actions(finished, tmp_path, monkeypatch, capsys):
    assert opened(finished / "samples" / "samples.gif").n_frames == PAST + FUTURE
    asked = [f"--workdir={finished}", f"--output={tmp_path}/film.gif", "--temperatures=0.5,1"]
    assert call(monkeypatch, sample, "sample", *asked, "--actions=left*2,right") == 0
    made = opened(tmp_path / "film.gif")
    assert made.n_frames == PAST + 3
    assert made.size == (2 * (2 * SIZE + 4), 2 * SIZE)
    assert opened(tmp_path / "film.png").size == ((PAST + 3) * (SIZE + 2) - 2, 2 * SIZE + 2)
    again = [*asked[:1], "--actions=left*2,right", "--temperatures=1", "--consensus_of=3"]
    assert call(monkeypatch, sample, "sample", *again, f"--output={tmp_path}/consensus.webp") == 0
    assert opened(tmp_path / "consensus.webp").n_frames == PAST + 3
    with monkeypatch.context() as patch:
        patch.setattr(video, "trained_pair", lambda run: pytest.fail("work began"))
        for wrong, said in {
            "--consensus_of=0": "give at least 1",
            "--actions=jump": "it knows left, right",
            "--actions=left*none": r"as in left\*10",
            "--actions=left*\u00b2": r"as in left\*10",
            "--actions=left*10000000000": "at most 4 digits",
            "--clip=99": "clip=99 is out of range",
            "--classes=left": "means nothing to video",
            "--complete=a.png": "complete",
            f"--output={tmp_path}/film.mp4": "ends in .gif or .webp",
            f"--output={tmp_path}/film.gif/film.gif": "cannot be written",
            "--temperatures=" + ",".join(["1"] * 2000): "give fewer",
        }.items():
            capsys.readouterr()
            assert call(patch, sample, "sample", *asked, wrong) == 2
            told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("sample: ")]
            assert len(told) == 1
            assert re.search(said, told[0]), told
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "consensus.png",
        "consensus.webp",
        "film.gif",
        "film.png",
    ]


def test_actions_are_read_by_name_and_number():
    assert parse_actions(["go*2", "stop"], ("go", "stop")) == [0, 0, 1]
    with pytest.raises(UserError, match="'jump', which this run does not know; it knows go, stop"):
        parse_actions(["jump*3"], ("go", "stop"))
    with pytest.raises(UserError, match="go\\*0"):
        parse_actions(["go*0"], ("go",))


def test_the_export_imagines_and_refuses(finished):
    model = tf.saved_model.load(str(finished / "export" / "model" / "1"))
    video = tf.constant(np.random.default_rng(0).integers(0, 256, (2, PAST, SIZE, SIZE, 3)), tf.uint8)
    actions, seed = tf.constant([[0, 0, 1, 1], [1, 1, 1, 0]]), tf.constant(3)
    predict, encode, decode = (model.signatures[name] for name in ("predict", "encode", "decode"))
    made = predict(video=video, actions=actions, seed=seed)
    assert made["video"].shape == (2, 3, SIZE, SIZE, 3)
    np.testing.assert_array_equal(decode(codes=made["codes"])["video"], made["video"])
    np.testing.assert_array_equal(predict(video=video, actions=actions, seed=seed)["codes"], made["codes"])
    assert tf.reduce_any(predict(video=video, actions=actions, seed=tf.constant(4))["codes"] != made["codes"])
    codes = encode(video=video)["codes"]
    assert codes.shape == (2, PAST, 4, 4)
    np.testing.assert_array_equal(encode(video=video[:, 1:])["codes"], codes[:, 1:])
    with pytest.raises(tf.errors.InvalidArgumentError, match="actions: expected integers"):
        predict(video=video, actions=actions + 1, seed=seed)
    with pytest.raises(tf.errors.InvalidArgumentError, match="video_shape"):
        predict(video=video[:, 1:], actions=actions, seed=seed)
    with pytest.raises(tf.errors.InvalidArgumentError, match="expected at least 2 a video"):
        predict(video=video, actions=actions[:, :1], seed=seed)
    with pytest.raises(tf.errors.InvalidArgumentError, match="expected as many of one as of the other"):
        predict(video=video, actions=actions[:1], seed=seed)


def test_several_codes_at_a_place_are_refused_before_any_work(world, tmp_path, command):
    flags = [*(f"--{part}" for part in SMALL.split()), f"--dataset=folder:{world}", f"--workdir={tmp_path / 'run'}"]
    for name in SEVERAL_CODES:
        told = command("train", *flags, f"--quantizer={name}", status=2)
        assert f"--quantizer={name} gives several codes at each place" in told
    assert not (tmp_path / "run").exists()


def test_codes_whose_actions_are_damaged_are_written_anew(finished, tmp_path, command):
    shutil.copytree(finished, tmp_path / "run")
    before = {path: path.read_bytes() for path in (tmp_path / "run/codes").rglob("*.*") if path.is_file()}
    file = next((tmp_path / "run/codes/actions").glob("train*"))
    file.write_bytes(b"no actions")
    assert str(file) in command("train", f"--flagfile={tmp_path}/run/config.flags", f"--workdir={tmp_path}/run",
                                "--stages=codes", status=2)  # fmt: skip
    assert "examples encoded" in command("encode", f"--workdir={tmp_path}/run")
    assert {path: path.read_bytes() for path in before} == before
    file.unlink()
    assert "examples encoded" in command("encode", f"--workdir={tmp_path}/run")
    assert "already in" in command("encode", f"--workdir={tmp_path}/run")


def test_another_number_of_imagined_frames_is_scored_anew(finished):
    run = open_run(finished)
    assert json.loads(run.evaluation.read_text())["measured"] == measured(run)
    fewer = replace(run, config=config.replace(run.config, future_frames=FUTURE - 1))
    assert measured(fewer) != measured(run)


def test_batches_of_what_is_expected_are_for_all_replicas(finished):
    small = config.replace(open_run(finished).config, prior_batch_size=16)
    assert [foresight_options(small, replicas).batch_size for replicas in (1, 2, 3, 6, 16)] == [8, 8, 9, 12, 16]


def test_a_prior_that_sees_vectors_is_refused_before_any_work(world, tmp_path, monkeypatch, capsys):
    flags = [*(f"--{part}" for part in SMALL.split()), f"--dataset=folder:{world}", f"--workdir={tmp_path / 'run'}"]
    assert call(monkeypatch, train, "train", *flags, "--prior_vectors=true") == 2
    assert "--prior_vectors with --modality=video" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["wavenet", "nonsense"])
def test_another_prior_is_refused_before_any_work(finished, world, tmp_path, monkeypatch, capsys, name):
    flags = [*(f"--{part}" for part in SMALL.split()), f"--dataset=folder:{world}", f"--workdir={tmp_path / 'run'}"]
    assert call(monkeypatch, train, "train", *flags, f"--prior={name}") == 2
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("train")]
    assert len(said) == 1
    assert f"--prior={name} with --modality=video" in said[0]
    assert not (tmp_path / "run").exists()
    run = open_run(finished)
    with pytest.raises(UserError, match="give --prior=pixelcnn"):
        run.modality.build_prior(config.replace(run.config, prior=name), open_codes(finished / "codes").manifest)


def test_dynamics_start_from_what_codes_look_like(finished):
    run = open_run(finished)
    vqvae, _ = load_vqvae(run)
    squares = code_squares(vqvae)
    assert squares.shape == (8, 4, 4, 3)
    lone = vqvae.decode(np.full((1, 5, 5), 6, np.int32))[0, 8:12, 8:12]
    np.testing.assert_allclose(squares[6], lone, atol=0.5 + 1e-3)  # rounded, as all that is shown
    prior = run.modality.build_prior(run.config, open_codes(finished / "codes").manifest)
    before = prior.past.motion[0].embeddings.numpy().copy()
    run.modality.prior_start(run)(prior)
    after = prior.past.motion[0].embeddings.numpy()
    assert np.abs(after - before).max() > 0.1
    np.testing.assert_allclose(after.reshape(squares.shape), (squares - squares.mean()) / squares.std(), atol=1e-4)


@pytest.mark.parametrize("strategy", ["default", "mirrored"])
def test_dynamics_train_again_and_inside_a_strategys_scope(finished, world, tmp_path, monkeypatch, strategy):
    """Loading the VQ-VAE clears the session, which inside the scope would break it."""
    monkeypatch.setattr(learn_camera, "STEPS", CAMERA_STEPS)
    workdir = shutil.copytree(finished, tmp_path / "run")
    shutil.rmtree(workdir / "prior")
    flags = [f"--{part}" for part in SMALL.split()]
    asked = [f"--dataset=folder:{world}", f"--workdir={workdir}", f"--strategy={strategy}", "--stages=prior"]
    assert call(monkeypatch, train, "train", *flags, *asked) == 0
    trained, again = (json.loads((path / "prior" / "result.json").read_text()) for path in (finished, workdir))
    if strategy == "default":
        assert again["digest"] == trained["digest"]
    else:  # a strategy draws other dropout
        assert again["metrics"]["loss"] == pytest.approx(trained["metrics"]["loss"], rel=0.05)
