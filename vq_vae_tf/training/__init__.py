"""Training: strategies, the step, the loop, checkpoints."""

from vq_vae_tf.training.checkpoints import Checkpoints
from vq_vae_tf.training.digest import weights_digest
from vq_vae_tf.training.interrupt import Interrupted
from vq_vae_tf.training.log import read_metrics
from vq_vae_tf.training.loop import train
from vq_vae_tf.training.options import SCHEDULES, TrainingOptions
from vq_vae_tf.training.result import TrainResult, load_weights, read_result
from vq_vae_tf.training.strategies import STRATEGIES, is_chief, make_strategy

__all__ = [
    "SCHEDULES",
    "STRATEGIES",
    "Checkpoints",
    "Interrupted",
    "TrainResult",
    "TrainingOptions",
    "is_chief",
    "load_weights",
    "make_strategy",
    "read_metrics",
    "read_result",
    "train",
    "weights_digest",
]
