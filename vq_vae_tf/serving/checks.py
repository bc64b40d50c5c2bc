"""Checks that travel inside the SavedModel: a wrong value stops the request with one sentence."""

from __future__ import annotations

import tensorflow as tf


def in_range(values: tf.Tensor, size: int, name: str) -> tf.Tensor:
    """`values`, once all are in 0..size-1.

    Raises: tf.errors.InvalidArgumentError at run time, naming the argument and the extremes that came.
    """
    fine = tf.reduce_all((values >= 0) & (values < size))
    message = f"{name}: expected integers in 0..{size - 1}; received from, to:"
    with tf.control_dependencies([tf.debugging.Assert(fine, [message, tf.reduce_min(values), tf.reduce_max(values)])]):
        return tf.identity(values)


def of_shape(values: tf.Tensor, shape: tuple[int | None, ...], name: str) -> tf.Tensor:
    """`values`, once they have the shape; None is any size.

    A SavedModel's signature does not look at the shapes that come: a picture of another size would run until some
    reshape fails, or none does.

    Raises: tf.errors.InvalidArgumentError at run time, naming the argument and both shapes.
    """
    return tf.ensure_shape(values, shape, name=f"{name}_shape")


def as_many(values: tf.Tensor, others: tf.Tensor, names: str) -> tf.Tensor:
    """`values`, once there are as many as of `others`; one for several would be taken for each of them.

    Raises: tf.errors.InvalidArgumentError at run time, naming both arguments and how many of each came.
    """
    counts = [tf.shape(values)[0], tf.shape(others)[0]]
    message = f"{names}: expected as many of one as of the other; received:"
    with tf.control_dependencies([tf.debugging.Assert(counts[0] == counts[1], [message, *counts])]):
        return tf.identity(values)


def positive(value: tf.Tensor, name: str) -> tf.Tensor:
    """The scalar `value`, once it is finite and above 0.

    Raises: tf.errors.InvalidArgumentError at run time.
    """
    fine = (value > 0) & tf.math.is_finite(value)
    message = f"{name}: expected a finite number above 0; received:"
    with tf.control_dependencies([tf.debugging.Assert(fine, [message, value])]):
        return tf.identity(value)


def at_most(value: tf.Tensor, most: float, name: str) -> tf.Tensor:
    """The scalar `value`, once it is no more than `most`: one request is not to fill the server.

    Raises: tf.errors.InvalidArgumentError at run time.
    """
    message = f"{name}: expected at most {most:g}; received:"
    with tf.control_dependencies([tf.debugging.Assert(value <= most, [message, value])]):
        return tf.identity(value)
