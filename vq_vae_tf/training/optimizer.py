"""Adam, one fused kernel a variable, with a schedule, clipping, and the loss scale of float16."""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras
import tensorflow as tf

from vq_vae_tf.training.options import TrainingOptions

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8
SCALE_GROWS_AFTER = 2000


def learning_rate(options: TrainingOptions, step: tf.Tensor) -> tf.Tensor:
    """The learning rate of an update: a linear warm-up, then constant, or to zero by cosine or linearly.

    Equation, with t the updates done before this one (`step`, a scalar), w the warm-up, T all steps:
      t < w    peak * (t + 1) / w
      else     peak * {1, (1 + cos(pi u)) / 2, 1 - u},  u = (t - w) / (T - w)
    """
    done = tf.cast(step, tf.float32)
    warmup = float(options.warmup_steps)
    progress = tf.clip_by_value((done - warmup) / max(options.steps - warmup, 1.0), 0.0, 1.0)
    if options.schedule == "cosine":
        factor = 0.5 * (1.0 + tf.cos(math.pi * progress))
    elif options.schedule == "linear":
        factor = 1.0 - progress
    else:
        factor = tf.ones_like(progress)
    return options.learning_rate * tf.where(done < warmup, (done + 1.0) / max(warmup, 1.0), factor)


class Adam:
    """Adam with decoupled weight decay (Kingma & Ba, 2015; Loshchilov & Hutter, 2019).

    Equation, for gradients g already summed over the replicas and update number t = 1, 2, ...:
      g <- g * min(1, clip_norm / ||g||)
      m <- b1 m + (1 - b1) g;   v <- b2 v + (1 - b2) g^2
      w <- w - lr * weight_decay * w    (variables named `*kernel` only: neither biases nor codes shrink)
      w <- w - lr * sqrt(1 - b2^t) / (1 - b1^t) * m / (sqrt(v) + epsilon)

    Not a Keras optimizer, for three reasons: Keras clips each replica's gradients before it sums them, so N
    replicas would not equal one; its nine elementwise passes cost a multiple of TensorFlow's one kernel; and
    each replica updates its own copy here, without leaving the replica's graph.
    Create it inside the strategy's scope; `apply` runs in a replica.
    """

    def __init__(self, variables: Sequence[keras.Variable], options: TrainingOptions) -> None:
        self.options = options
        self._weights = [v.value for v in variables]
        self._decayed = ["kernel" in v.name for v in variables]
        self._momentums = [_zeros_like(w) for w in self._weights]
        self._velocities = [_zeros_like(w) for w in self._weights]

    @property
    def variables(self) -> list[tf.Variable]:
        """All that a checkpoint must keep."""
        return self._momentums + self._velocities

    def apply(self, gradients: Sequence[tf.Tensor], step: tf.Tensor) -> None:
        """One update by summed gradients; `step` counts the updates done before it."""
        if self.options.clip_norm:
            gradients, _ = tf.clip_by_global_norm(gradients, self.options.clip_norm)
        rate = learning_rate(self.options, step)
        powers = {f"beta{i}_power": tf.pow(b, tf.cast(step + 1, tf.float32)) for i, b in ((1, BETA_1), (2, BETA_2))}
        for gradient, weight, decayed, m, v in zip(
            gradients, self._weights, self._decayed, self._momentums, self._velocities, strict=True
        ):
            kind = weight.dtype
            if self.options.weight_decay and decayed:
                decay = tf.cast(rate * self.options.weight_decay, kind)
                tf.raw_ops.AssignSubVariableOp(resource=weight.handle, value=decay * weight)
            tf.raw_ops.ResourceApplyAdam(
                var=weight.handle,
                m=m.handle,
                v=v.handle,
                lr=tf.cast(rate, kind),
                beta1=tf.cast(BETA_1, kind),
                beta2=tf.cast(BETA_2, kind),
                epsilon=tf.cast(EPSILON, kind),
                grad=tf.cast(gradient, kind),
                **{name: tf.cast(power, kind) for name, power in powers.items()},
            )


class LossScale:
    """Keeps float16 gradients from underflowing (Micikevicius et al., 2018, section 3.2).

    The loss is multiplied by `scale` and the gradients divided by it. A step whose gradients are not finite is
    left out and halves the scale; 2,000 good steps in a row double it. Create it inside the strategy's scope.
    """

    def __init__(self) -> None:
        self.scale = _scalar(2.0**15)
        self._good_steps = _scalar(0.0)

    @property
    def variables(self) -> list[tf.Variable]:
        """All that a checkpoint must keep."""
        return [self.scale, self._good_steps]

    def unscale(self, gradients: Sequence[tf.Tensor]) -> tuple[list[tf.Tensor], tf.Tensor]:
        """Summed gradients at their own size, and whether they are finite; moves the scale accordingly."""
        inverse = 1.0 / self.scale
        gradients = [g * tf.cast(inverse, g.dtype) for g in gradients]
        finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(g)) for g in gradients])
        good = tf.where(finite, self._good_steps + 1.0, 0.0)
        grows = good >= SCALE_GROWS_AFTER
        scale = self.scale * tf.where(finite, tf.where(grows, 2.0, 1.0), 0.5)
        tf.raw_ops.AssignVariableOp(resource=self._good_steps.handle, value=tf.where(grows, 0.0, good))
        tf.raw_ops.AssignVariableOp(resource=self.scale.handle, value=tf.maximum(scale, 1.0))
        return gradients, finite


class WeightAverage:
    """An exponential moving average of a model's weights, for evaluation and for the saved result.

    Equation: a <- d a + (1 - d) w,  d = min(decay, (1 + t) / (10 + t)): the early, bad weights are soon forgotten.
    Non-trainable floating weights (a codebook that is itself an average, normalisation statistics) are averaged
    with the rest, so that they fit the encoder they are saved with; counts of codes are not weights and stay.
    Create it inside the strategy's scope; `update` runs in a replica.
    """

    def __init__(self, variables: Sequence[keras.Variable], decay: float) -> None:
        self.decay = decay
        averaged = [v for v in variables if v.value.dtype.is_floating and v.name != "code_counts"] if decay else []
        self._weights = [v.value for v in averaged]
        self.variables = [tf.Variable(w, trainable=False) for w in self._weights]

    def update(self, step: tf.Tensor) -> None:
        """Moves the averages towards the weights; `step` counts the updates done before this one."""
        done = tf.cast(step + 1, tf.float32)
        rest = 1.0 - tf.minimum(self.decay, (1.0 + done) / (10.0 + done))
        for weight, average in zip(self._weights, self.variables, strict=True):
            change = tf.cast(rest, weight.dtype) * (average - weight)
            tf.raw_ops.AssignSubVariableOp(resource=average.handle, value=change)

    def swap(self) -> None:
        """Exchanges weights and averages; called a second time, it puts them back. Outside replicas."""
        for weight, average in zip(self._weights, self.variables, strict=True):
            held = weight.numpy()
            weight.assign(average.numpy())
            average.assign(held)


def _zeros_like(weight: tf.Variable) -> tf.Variable:
    return tf.Variable(tf.zeros(weight.shape, weight.dtype), trainable=False)


def _scalar(value: float) -> tf.Variable:
    return tf.Variable(value, trainable=False, dtype=tf.float32)
