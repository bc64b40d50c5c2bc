"""What a model with a loss of its own gives Keras for `fit`."""

from __future__ import annotations

from typing import Any

from vq_vae_tf.ops.replicas import replica_count


def fit_loss(model: Any, loss: Any, sample_weight: Any) -> Any:
    """The value of `compute_loss`: a replica's mean loss over the number of replicas.

    Keras adds the gradients of the replicas up, and shows the value times their number.

    Raises:
        ValueError: sample weights, or class weights, which no loss here knows.
    """
    if sample_weight is not None:
        raise ValueError(
            f"{model.name}: sample_weight or class_weight was given, but all examples count alike; leave it out."
        )
    return loss / replica_count()
