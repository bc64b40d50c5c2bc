"""Any image file to one shape and uint8, as TensorFlow functions."""

from __future__ import annotations

import tensorflow as tf

from vq_vae_tf.modalities.image.orientation import upright


def decode_rgb(content: tf.Tensor) -> tf.Tensor:
    """Bytes of a JPEG, PNG, BMP or GIF file (its first frame) to uint8 `[height, width, 3]`.

    Grey becomes three equal channels. Transparent pixels are composited on white:
    rgb' = alpha * rgb + (1 - alpha) * 255. A JPEG is turned as its EXIF note says (`upright`).

    Raises: tf.errors.InvalidArgumentError for anything else, or a file cut short.
    """
    start = tf.strings.substr(content, 0, 2)
    return tf.case(
        [
            (tf.equal(start, b"\x89P"), lambda: _png(content)),
            (tf.equal(start, b"BM"), lambda: _bmp(content)),
            (tf.equal(start, b"\xff\xd8"), lambda: upright(_first_frame(content), content)),
        ],
        default=lambda: _first_frame(content),
    )


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


def _first_frame(content: tf.Tensor) -> tf.Tensor:
    return tf.io.decode_image(content, channels=3, expand_animations=False)


def _png(content: tf.Tensor) -> tf.Tensor:
    # Byte 25, found from behind: a file cut before it is then refused by decode_png, whose words can be decoded.
    colour_type = tf.strings.substr(tf.strings.substr(content, 0, 26), -1, 1)

    def grey() -> tf.Tensor:  # below 8 bits decode_png calls 2^bits - 1 opaque, and a grey pixel is opaque or not there
        rgba = tf.io.decode_png(content, channels=4)
        there = tf.cast(rgba[..., 3:] > 0, tf.uint8)
        return _on_white(tf.concat([rgba[..., :3], 255 * there], axis=-1))

    def through_palette() -> tf.Tensor:  # the same is wrong here; the file's own channels are 4 only if it has alpha
        image = tf.io.decode_png(content, channels=0)
        return tf.cond(
            tf.shape(image)[-1] == 4, lambda: _on_white(image), lambda: tf.ensure_shape(image, [None, None, 3])
        )

    return tf.case(
        [(tf.equal(colour_type, b"\x00"), grey), (tf.equal(colour_type, b"\x03"), through_palette)],
        default=lambda: _on_white(tf.io.decode_png(content, channels=4)),
    )


def _on_white(rgba: tf.Tensor) -> tf.Tensor:
    colour, alpha = tf.cast(rgba[..., :3], tf.int32), tf.cast(rgba[..., 3:], tf.int32)
    return tf.cast((colour * alpha + 255 * (255 - alpha) + 127) // 255, tf.uint8)


def _bmp(content: tf.Tensor) -> tf.Tensor:
    image = tf.io.decode_bmp(content, channels=0)

    def through_palette() -> tf.Tensor:  # decode_bmp returns palette indices as if they were grey
        pixels, header = (tf.io.decode_raw(tf.strings.substr(content, at, 4), tf.int32)[0] for at in (10, 14))
        entries = tf.io.decode_raw(tf.strings.substr(content, 14 + header, pixels - 14 - header), tf.uint8)
        return tf.gather(tf.reshape(entries, (-1, 4))[:, 2::-1], tf.cast(image[..., 0], tf.int32))

    # A 32-bit BMP has no usable alpha: most writers leave it at 0.
    return tf.cond(tf.shape(image)[-1] == 1, through_palette, lambda: image[..., :3])
