"""Any picture to one size and uint8."""

from __future__ import annotations

import tensorflow as tf


def to_square(image: tf.Tensor, size: int) -> tf.Tensor:
    """The centred square of an image, resized: by area when it shrinks (no aliasing), bilinear when it grows.

    image: uint8 `[height, width, channels]`; returns uint8 `[size, size, channels]`. size 0 returns the image.
    """
    if not size:
        return image
    shape = tf.shape(image)
    side = tf.minimum(shape[0], shape[1])
    top, left = (shape[0] - side) // 2, (shape[1] - side) // 2
    square = image[None, top : top + side, left : left + side]
    resized = tf.cond(
        side >= size,
        lambda: tf.image.resize(square, (size, size), method="area"),
        lambda: tf.image.resize(square, (size, size), method="bilinear"),
    )
    return tf.saturate_cast(tf.round(resized[0]), tf.uint8)
