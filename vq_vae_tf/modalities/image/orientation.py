"""Which way up a camera held a photograph, as TensorFlow functions."""

from __future__ import annotations

import tensorflow as tf

_READ = 1 << 17
"""Bytes of a file that are looked at: the segment in question is one of the first, and none is longer than 65,537."""
_ENTRY = 12
_ORIENTATION = 0x0112


def upright(image: tf.Tensor, content: tf.Tensor) -> tf.Tensor:
    """An image `[height, width, channels]` as it is to be looked at, by the bytes of the JPEG that it was decoded from.

    Cameras store what the sensor saw, and in a note (EXIF 2.3, tag 0x0112, 1 to 8) how it is turned and mirrored. No
    note, or one that cannot be read, leaves the image as it is.
    """
    turned = orientation(content)
    image = tf.cond(turned >= 5, lambda: tf.transpose(image, (1, 0, 2)), lambda: image)
    image = tf.cond(_one_of(turned, 2, 3, 6, 7), lambda: tf.reverse(image, [1]), lambda: image)
    return tf.cond(_one_of(turned, 3, 4, 7, 8), lambda: tf.reverse(image, [0]), lambda: image)


def orientation(content: tf.Tensor) -> tf.Tensor:
    """The number 1 to 8 in the bytes of a JPEG file, int32; 1 where there is none."""
    padded = tf.strings.join([tf.strings.substr(content, 0, _READ), b"\0"])  # so that there is a byte
    data = tf.cast(tf.io.decode_raw(padded, tf.uint8), tf.int32)
    size = tf.size(data)

    def number(at: tf.Tensor, count: int, little: tf.Tensor | bool = False) -> tf.Tensor:
        """An unsigned number of `count` bytes, the last the least of them unless `little`; past the end there are 0."""
        places = tf.expand_dims(at, -1) + tf.range(count)
        inside = (places >= 0) & (places < size)
        found = tf.where(inside, tf.gather(data, tf.clip_by_value(places, 0, size - 1)), 0)
        worth = [256**i for i in range(count)]
        return tf.reduce_sum(found * tf.where(little, worth, worth[::-1]), axis=-1)

    def passed_over(at: tf.Tensor) -> tf.Tensor:  # notes of applications, but Exif, and comments
        marker, exif = number(at, 2), tf.equal(number(at + 4, 3), 0x457869)
        note = (marker >= 0xFFE0) & (marker <= 0xFFEF) | tf.equal(marker, 0xFFFE)
        return note & ~(tf.equal(marker, 0xFFE1) & exif)

    at = tf.while_loop(passed_over, lambda at: (at + 2 + tf.maximum(number(at + 2, 2), 2),), (tf.constant(2),))[0]
    tiff = at + 10
    little = tf.equal(number(tiff, 2), 0x4949)  # "II", of Intel
    entries = tiff + tf.bitwise.bitwise_and(number(tiff + 4, 4, little), _READ - 1)
    places = entries + 2 + _ENTRY * tf.range(tf.minimum(number(entries, 2, little), size // _ENTRY))
    said = tf.boolean_mask(number(places + 8, 2, little), tf.equal(number(places, 2, little), _ORIENTATION))
    said = tf.concat([said, [1]], 0)[0]
    exif = tf.equal(number(at, 2), 0xFFE1)
    return tf.where(exif & (said >= 1) & (said <= 8), said, 1)


def _one_of(number: tf.Tensor, *numbers: int) -> tf.Tensor:
    return tf.reduce_any(tf.equal(number, numbers))
