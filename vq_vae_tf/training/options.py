"""What a user may set about training."""

from __future__ import annotations

import math
from dataclasses import dataclass

from vq_vae_tf.errors import UserError

SCHEDULES = ("constant", "cosine", "linear")


@dataclass(frozen=True)
class TrainingOptions:
    """The numbers of one training run.

    Attributes:
      steps: how many updates of the weights.
      batch_size: examples in one step, over all replicas together.
      learning_rate: Adam's, at the end of the warm-up.
      schedule: how it goes from there to the last step: `constant`, or to zero by `cosine` or `linear`.
      warmup_steps: steps over which it rises linearly from zero.
      weight_decay: decoupled (AdamW), a step shrinks kernels by `learning_rate * weight_decay`.
      clip_norm: bound on the gradients' global norm; 0 turns it off.
      weight_ema: decay of the averaged weights that are evaluated and saved; 0 keeps the last ones.
      jit: compile forward and backward pass with XLA.
      log_every: steps over which one line of `metrics.jsonl` averages.
      checkpoint_every: steps between checkpoints.
      summary_every: steps between pictures and histograms.
      keep_checkpoints: how many stay on disk.

    Raises:
      UserError: a number out of range, or an unknown schedule.
    """

    steps: int = 10_000
    batch_size: int = 32
    learning_rate: float = 3e-4
    schedule: str = "constant"
    warmup_steps: int = 0
    weight_decay: float = 0.0
    clip_norm: float = 0.0
    weight_ema: float = 0.0
    jit: bool = False
    log_every: int = 100
    checkpoint_every: int = 1000
    summary_every: int = 1000
    keep_checkpoints: int = 2

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "log_every", "checkpoint_every", "summary_every", "keep_checkpoints"):
            _require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        for name in ("warmup_steps", "weight_decay", "clip_norm"):
            _require(0 <= getattr(self, name) < math.inf, name, getattr(self, name), "0 or more")
        _require(0 < self.learning_rate < math.inf, "learning_rate", self.learning_rate, "greater than 0")
        _require(0 <= self.weight_ema < 1, "weight_ema", self.weight_ema, "at least 0 and less than 1")
        _require(self.warmup_steps <= self.steps, "warmup_steps", self.warmup_steps, f"at most steps={self.steps}")
        _require(self.schedule in SCHEDULES, "schedule", self.schedule, "one of " + ", ".join(SCHEDULES))


def _require(holds: bool, name: str, value: object, expected: str) -> None:
    if not holds:
        raise UserError(f"--{name}={value} was given, but it must be {expected}.")
