"""Where the work runs: one device, several, several machines, a TPU."""

from __future__ import annotations

import functools

import tensorflow as tf

from vq_vae_tf.errors import UserError

STRATEGIES = ("default", "mirrored", "multi_worker", "tpu")


def make_strategy(name: str) -> tf.distribute.Strategy:
    """The strategy of that name.

    `default`: one device. `mirrored`: every device of this machine. `multi_worker`: the machines listed in the
    environment variable TF_CONFIG, this process being one of them; call it before any other TensorFlow operation.
    `tpu`: the TPU that this machine (or TPU_NAME) is attached to. Asked for again, it is the same object: strategies
    number their collective operations from the same start, so a second one in the process would clash with the first.

    Raises:
      UserError: an unknown name, or no TPU here.
    """
    if name == "default":
        return tf.distribute.get_strategy()
    if name not in STRATEGIES:
        raise UserError(f"--strategy={name} was given, but it must be one of " + ", ".join(STRATEGIES) + ".")
    return _only(name)


@functools.cache
def _only(name: str) -> tf.distribute.Strategy:
    if name == "mirrored":
        kind = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
        return tf.distribute.MirroredStrategy([device.name for device in tf.config.list_logical_devices(kind)])
    if name == "multi_worker":
        try:
            return tf.distribute.MultiWorkerMirroredStrategy()
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(
                f"--strategy=multi_worker: TF_CONFIG describes no cluster ({error}); expected JSON of cluster and task."
            ) from error
    return _tpu()


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process is the one that writes files."""
    resolver = strategy.cluster_resolver
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy) or resolver is None:
        return True
    has_chief = "chief" in resolver.cluster_spec().jobs
    return resolver.task_type == "chief" or (resolver.task_id == 0 and not has_chief)


def _tpu() -> tf.distribute.Strategy:
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver.connect()
    except (ValueError, tf.errors.OpError) as error:
        raise UserError("--strategy=tpu was given, but no TPU answers here; use --strategy=default.") from error
    return tf.distribute.TPUStrategy(resolver)
