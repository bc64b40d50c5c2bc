"""All that the core knows of replicas: sums over them, their number, and which one this is.

On the TensorFlow backend inside `strategy.run` these talk to the other replicas; everywhere else there is one replica.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras


def _replica_context() -> Any | None:
    if keras.backend.backend() != "tensorflow":
        return None
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    return context if context is not None and context.num_replicas_in_sync > 1 else None


def replica_sum(x: Any) -> Any:
    """The sum of `x` over all replicas: sum_r x_r.

    Args:
        x: a float tensor of the same shape on every replica.

    Returns:
        The same shape, equal on every replica; x itself when there is one replica.
    """
    context = _replica_context()
    return x if context is None else context.all_reduce("sum", x)


def of_this_replica(losses: Sequence[Any]) -> list[Any]:
    """Those of `layer.losses` that this replica added.

    Keras keeps one list a layer, to which the replicas of a MirroredStrategy, threads of one process, all append;
    whichever reads it last sees everybody's. Gradients are right either way, sums are N times too large.
    """
    if _replica_context() is None:
        return list(losses)
    here = keras.ops.zeros(()).device
    return [loss for loss in losses if loss.device == here]


def replica_count() -> int:
    """How many replicas take part in this step; 1 outside a strategy."""
    context = _replica_context()
    return 1 if context is None else context.num_replicas_in_sync


def replica_index() -> Any:
    """Which replica this is: a scalar int32 tensor in [0, replica_count())."""
    context = _replica_context()
    index = 0 if context is None else context.replica_id_in_sync_group
    return keras.ops.cast(index, "int32")
