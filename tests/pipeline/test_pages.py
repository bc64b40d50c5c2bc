"""The pages of sounds and of films: as much as that of pictures, and everything at its size."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from vq_vae_tf import config
from vq_vae_tf.evaluation.report import render
from vq_vae_tf.modalities.audio.source import AudioData, Recordings
from vq_vae_tf.modalities.image.source import ImageData
from vq_vae_tf.modalities.video.source import VideoData
from vq_vae_tf.pipeline import audio
from vq_vae_tf.pipeline.run import Run
from vq_vae_tf.pipeline.video_report import video_report

RATE, WINDOW = 8000, 5120
COUNTS = np.array([3, 0, 3, 2])
ENDING = ["Codebook", "Training: VQ-VAE", "Training: prior", "Configuration"]


def _run(folder, data, **changes):
    run = Run(config.replace(config.Config(), seed=7, **changes), folder / "a_run")
    run.__dict__["data"] = data
    for stage, terms in (
        (run.vqvae, {"loss": 2.0, "reconstruction": 1.0, "quantization": 1.0}),
        (run.prior, {"loss": 3.0, "bits_per_code": 4.3}),
    ):
        stage.mkdir(parents=True)
        lines = [json.dumps({"step": step, **terms}) for step in (5, 10)]
        (stage / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    return run


def _check_frame(page, kicker):
    """What all pages have: the kicker, the sections at the end, the foot."""
    assert f'<p class="kicker">{kicker}</p>' in page
    assert re.findall("<h2>([^<]*)</h2>", page)[-5:-1] == ENDING
    assert re.search("<footer><span>vq_vae_tf [^<]+, TensorFlow [^<]+</span><span>seed 7</span></footer>", page)
    assert "<details open" not in page
    assert page.count('class="scroll plot"') == 3  # the codebook and two stages


@pytest.fixture(scope="module")
def voices():
    """Two speakers, one recording of a window and a half, another of half a window."""
    sounds = [np.zeros(WINDOW + WINDOW // 2), np.zeros(WINDOW // 2)]
    recordings = Recordings.of(sounds, [1, 0], ["eve/7_1.wav", "bob/2_0.wav"])
    return AudioData("folder:/voices", RATE, WINDOW, ("bob", "eve"), {"test": recordings})


def test_the_page_of_sounds_says_who_speaks_and_ends_as_others_do(voices, tmp_path):
    x = np.random.default_rng(0).uniform(-0.5, 0.5, (3, WINDOW)).astype(np.float32)
    scores = {"split": "test", "log_spectral_distance_db": 1.0, "perplexity": 2.0, "code_bits_per_second": 3.0}
    shown = list(zip(audio._names(voices, "test", np.arange(3)), zip(x, x / 2, strict=True), strict=True))
    report = audio._report(_run(tmp_path, voices, modality="audio"), scores, COUNTS, shown, {"eve": x[0]}, None)
    page = render(report)
    _check_frame(page, "VQ-VAE · audio")
    pieces = ("eve, 7_1.wav", "eve, 7_1.wav from 0.64 s", "bob, 2_0.wav")
    names = [f"{piece}: {kind}" for piece in pieces for kind in ("original", "reconstruction")]
    assert re.findall("<figcaption>([^<]*)</figcaption>", page) == [*names, "eve"]
    assert "Pieces of 0.64 s of the split test. Spectrograms: time to the right, 0 to 4 kHz upwards" in page
    assert page.count('<img class="crisp" style="width:324px" alt="spectrogram of ') == 2 * 3 + 1  # 81 frames


@pytest.mark.parametrize(("frame", "frames", "wide"), [(16, 4, (96 * 4, 70 * 4)), (64, 20, (336 * 2, 1318))])
def test_films_and_their_frames_are_enlarged_by_whole_numbers(frame, frames, wide, tmp_path):
    shape = (frame, frame, 3)
    data = VideoData(ImageData("world", shape, (), {}), frames + 2, (), {})
    films = np.random.default_rng(0).integers(0, 256, (1, 5, frames, *shape)).astype(np.uint8)
    each = {"psnr": [1.0] * frames, "ssim": [0.5] * frames}
    kinds = ("rollout", "consensus", "mean_of_rollouts", "copy_last", "mean_frame", "reconstruction")
    of_films = {kind: each for kind in kinds} | {
        "num_windows": 1,
        "bits_per_frame": {"true": 1.0, "shuffled": 2.0},
        "gradient_energy": dict.fromkeys(("rollout", "consensus", "reconstruction"), 1.0),
        "spread_over_seeds": [1.0] * frames,
    }
    scores = {"split": "test", "rollouts": {"test": of_films}, "rollout_frames_per_second": 9.0, "num_frames": 3}
    scores |= dict.fromkeys(("psnr", "ssim", "normalised_mse", "perplexity"), 1.0)
    run = _run(tmp_path, data, modality="video", past_frames=1, future_frames=1)
    page = render(video_report(run, scores, COUNTS, {"test": films}))
    _check_frame(page, "VQ-VAE · video")
    assert "Shown: 1 of 1 scored window." in page
    assert "world: 1 frame imagined after 1," in page
    assert "From the top: truth, reconstruction, one future, consensus, last frame." in page
    film, sheet = re.findall(r'<div class="scroll"><img class="crisp" style="width:(\d+)px"', page)
    assert (int(film), int(sheet)) == wide
