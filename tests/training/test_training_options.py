from __future__ import annotations

import math

import pytest

from vq_vae_tf.errors import UserError
from vq_vae_tf.training.options import TrainingOptions


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("steps", 0),
        ("batch_size", 0),
        ("learning_rate", 0.0),
        ("learning_rate", math.nan),
        ("learning_rate", math.inf),
        ("schedule", "exponential"),
        ("warmup_steps", -1),
        ("warmup_steps", 20_000),
        ("weight_decay", -0.1),
        ("clip_norm", -1.0),
        ("weight_ema", 1.0),
        ("log_every", 0),
        ("checkpoint_every", 0),
        ("summary_every", 0),
        ("keep_checkpoints", 0),
    ],
)
def test_a_number_out_of_range_is_named_with_what_it_must_be(name, value):
    with pytest.raises(UserError, match=rf"^--{name}={value} was given, but it must be "):
        TrainingOptions(**{name: value})
