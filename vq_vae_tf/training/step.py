"""The training step, and many of them in one call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf

from vq_vae_tf.training.optimizer import Adam, LossScale, WeightAverage
from vq_vae_tf.training.options import TrainingOptions

Batch = dict[str, tf.Tensor]


class TrainingState:
    """Everything a step reads and writes; create it inside the strategy's scope, with a built model."""

    def __init__(self, model: keras.Model, options: TrainingOptions, term_names: list[str]) -> None:
        self.model = model
        self.options = options
        self.term_names = term_names
        self.optimizer = Adam(model.trainable_variables, options)
        self.average = WeightAverage(model.weights, options.weight_ema)
        self.loss_scale = LossScale() if _computes_in_float16(model) else None

    def variables(self) -> dict[str, tf.Variable]:
        """Name -> variable, all that an exact resume needs: weights, counts, states of random generators, slots.

        The names hold positions, not layer names: Keras numbers those by what else was built in the process.
        """
        kept = {f"model/{i:04d}/{v.name}": v.value for i, v in enumerate(self.model.variables)}
        kept |= {f"optimizer/{i:04d}": v for i, v in enumerate(self.optimizer.variables)}
        kept |= {f"average/{i:04d}": v for i, v in enumerate(self.average.variables)}
        if self.loss_scale is not None:
            kept |= {f"loss_scale/{i:04d}": v for i, v in enumerate(self.loss_scale.variables)}
        return kept


def make_run_steps(state: TrainingState, strategy: tf.distribute.Strategy) -> Callable[..., Any]:
    """Compiles `run_steps(batches, first, count, sums) -> steps done, sums, terms of the last step`.

    It takes `count` batches, the first being the batch of step `first`, without going back to Python in between,
    and stops early after a step with a term that is not finite. `sums` and `terms` are float32 `[terms]`,
    averaged over the replicas; `sums` is added to step by step, so that no result depends on how the steps were
    cut into calls.
    """
    replica_step = _make_replica_step(state, strategy.num_replicas_in_sync)

    @tf.function(reduce_retracing=True, autograph=False)
    def run_steps(batches: Iterator[Batch], first: tf.Tensor, count: tf.Tensor, sums: tf.Tensor) -> Any:
        def go_on(done: tf.Tensor, sums: tf.Tensor, terms: tf.Tensor) -> tf.Tensor:
            del sums
            return tf.logical_and(done < count, tf.reduce_all(tf.math.is_finite(terms)))

        def one_step(done: tf.Tensor, sums: tf.Tensor, terms: tf.Tensor) -> tuple[tf.Tensor, ...]:
            del terms
            per_replica = strategy.run(replica_step, args=(next(batches), first + done))
            terms = strategy.reduce(tf.distribute.ReduceOp.MEAN, per_replica, axis=None)
            return done + 1, sums + terms, terms

        start = (tf.zeros([], tf.int64), sums, tf.zeros_like(sums))
        return tf.while_loop(go_on, one_step, start, parallel_iterations=1)

    return run_steps


def _make_replica_step(state: TrainingState, num_replicas: int) -> Callable[[Batch, tf.Tensor], tf.Tensor]:
    """One update from one replica's rows of the batch; returns its loss terms, `[terms]`."""
    gradients_of = _make_gradients(state, num_replicas)

    def replica_step(batch: Batch, step: tf.Tensor) -> tf.Tensor:
        terms, gradients = gradients_of(batch)
        if num_replicas > 1:
            replica = tf.distribute.get_replica_context()
            gradients = replica.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
        if state.loss_scale is None:
            state.optimizer.apply(gradients, step)
        else:
            gradients, finite = state.loss_scale.unscale(gradients)
            _apply_if(finite, state.optimizer, gradients, step)
        state.average.update(step)
        return terms

    return replica_step


def _make_gradients(state: TrainingState, num_replicas: int) -> Callable[[Batch], tuple[tf.Tensor, list[tf.Tensor]]]:
    """The forward and backward pass: loss terms `[terms]`, and this replica's share of the gradients."""
    weights = [v.value for v in state.model.trainable_variables]

    def gradients_of(batch: Batch) -> tuple[tf.Tensor, list[tf.Tensor]]:
        with tf.GradientTape() as tape:
            terms = state.model.loss_terms(batch, training=True)
            # Gradients are summed over the replicas, the loss is a mean over the whole batch.
            loss = tf.cast(terms["loss"], tf.float32) / num_replicas
            if state.loss_scale is not None:
                loss = loss * state.loss_scale.scale
        gradients = tape.gradient(loss, weights, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        values = tf.stack([tf.cast(terms[name], tf.float32) for name in state.term_names])
        return values, [tf.convert_to_tensor(g) for g in gradients]

    return tf.function(gradients_of, jit_compile=True, autograph=False) if state.options.jit else gradients_of


def _apply_if(finite: tf.Tensor, optimizer: Adam, gradients: list[tf.Tensor], step: tf.Tensor) -> None:
    def update() -> tf.Operation:
        optimizer.apply(gradients, step)
        return tf.no_op()

    tf.cond(finite, update, tf.no_op)


def _computes_in_float16(model: keras.Model) -> bool:
    return any(layer.dtype_policy.compute_dtype == "float16" for layer in model._flatten_layers())
