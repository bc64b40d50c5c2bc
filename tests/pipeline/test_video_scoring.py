"""Numbers of video whose values are known beforehand."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from vq_vae_tf.pipeline import video_scoring
from vq_vae_tf.pipeline.imagining import Windows
from vq_vae_tf.pipeline.modality import Draw

PAST, FUTURE, STEPS = 2, 3, {0: 2, 1: -3}


def shifted(places):
    """Frames `[..., 16, 16, 3]` of noise that is moved to the right by so many pixels."""
    noise = np.random.default_rng(0).integers(0, 256, (16, 16, 3)).astype(np.uint8)
    moved = [np.roll(noise, place, axis=1) for place in np.ravel(places)]
    return np.stack(moved).reshape(*np.shape(places), *noise.shape)


def walk(first, actions):
    """Where each frame is: action 0 moves it 2 to the right, action 1 3 to the left, as turning left and right do."""
    steps = np.vectorize(STEPS.get)(actions)
    return first[:, None] + np.cumsum(np.concatenate([0 * steps[:, :1], steps], axis=1), axis=1)


def test_turning_is_measured_of_the_action_that_is_named(monkeypatch):
    actions = np.random.default_rng(1).integers(0, 2, (5, PAST + FUTURE))
    places = walk(np.arange(5), actions[:, :-1])
    given = Windows(shifted(places), places[..., None, None], actions, PAST)

    def imagine(dynamics, past, taken, draw):
        assert (taken[:, : PAST - 1] == actions[:, : PAST - 1]).all()
        return walk(past[:, -1, 0, 0], taken[:, PAST - 1 :])[:, 1:, None, None]

    monkeypatch.setattr(video_scoring, "imagine", imagine)
    monkeypatch.setattr(video_scoring, "decoded", lambda vqvae, codes: shifted(codes[..., 0, 0]))
    run = SimpleNamespace(data=SimpleNamespace(action_names=("left", "right")))
    found = video_scoring._turning(run, None, None, given, Draw(0))
    assert found == {
        "left_pixels": pytest.approx(2, abs=0.1),
        "right_pixels": pytest.approx(-3, abs=0.1),
        "opposite": 1.0,
        "real_left_pixels": pytest.approx(2, abs=0.1),
        "real_right_pixels": pytest.approx(-3, abs=0.1),
    }
    monkeypatch.setitem(STEPS, 1, 3)
    assert video_scoring._turning(run, None, None, given, Draw(0))["opposite"] == 0.0


def test_bits_are_of_the_action_that_leads_to_the_frame():
    """A frame is sure where it follows from its past by the actions that were taken, and costs a bit where not."""
    actions = np.random.default_rng(2).integers(0, 2, (40, PAST + FUTURE))
    places = walk(np.arange(40), actions[:, :-1])
    given = Windows(shifted(places), places[..., None, None].astype(np.int32), actions.astype(np.int32), PAST)

    def log_prob(codes, condition):
        frames = tf.concat([condition["past"], codes[:, None]], axis=1)[..., 0, 0]
        steps = 2 - 5 * condition["actions"]
        wrong = tf.reduce_any(frames[:, 1:] - frames[:, :-1] != steps, axis=1)
        return -tf.cast(wrong, tf.float32) * np.log(2.0)

    bits = video_scoring._bits(SimpleNamespace(log_prob=log_prob), given, seed=0)
    assert bits["true"] == 0.0
    assert 0.3 < bits["shuffled"] < 0.7  # half of the actions are another one
