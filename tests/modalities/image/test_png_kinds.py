"""Every colour type and bit depth of PNG, with and without transparency, against Pillow on white."""

from __future__ import annotations

import io
import itertools
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf

from vq_vae_tf.modalities.image.decode import decode_rgb

Image = pytest.importorskip("PIL.Image", reason="the oracle is Pillow")

GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
CHANNELS = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGBA: 4}
DEPTHS = {GREY: (1, 2, 4, 8, 16), RGB: (8, 16), PALETTE: (1, 2, 4, 8), GREY_ALPHA: (8, 16), RGBA: (8, 16)}
KINDS = [(kind, bits) for kind, depths in DEPTHS.items() for bits in depths]
KEYED = [(kind, bits) for kind, bits in KINDS if kind in (GREY, RGB, PALETTE)]
"""A tRNS chunk may stand in these: one grey or colour that is not there, or an alpha for every entry of the palette."""


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(kind, bits, samples, palette=b"", transparent=b""):
    """The file of integer samples `[height, width, channels]` below 2^bits; Pillow writes few of these kinds."""
    height, width, _ = samples.shape
    bytes_ = samples.astype(">u2").reshape(height, -1).view(np.uint8) if bits == 16 else packed(samples, bits)
    lines = b"".join(b"\0" + line.tobytes() for line in bytes_)
    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"PLTE", palette), (b"tRNS", transparent), (b"IDAT", zlib.compress(lines))]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*c) for c in chunks if c[1]) + chunk(b"IEND", b"")


def packed(samples, bits):
    digits = np.unpackbits(samples.astype(np.uint8)[..., None], axis=-1)[..., 8 - bits :]
    return np.packbits(digits.reshape(len(samples), -1), axis=1)


def drawn(kind, bits):
    """Random samples with the darkest and the lightest among them, and a palette where one is needed."""
    rng = np.random.default_rng(10 * kind + bits)
    samples = rng.integers(0, 2**bits, (5, 7, CHANNELS[kind]))
    samples[0, 0], samples[0, 1] = 0, 2**bits - 1
    palette = rng.integers(0, 256, (2**bits, 3), dtype=np.uint8).tobytes() if kind == PALETTE else b""
    return samples, palette


def read(content):
    """As the data source does: inside tf.data."""
    (image,) = tf.data.Dataset.from_tensors(content).map(decode_rgb)
    return image.numpy()


def on_white(content):
    """Pillow's answer, float `[height, width, 3]`."""
    image = Image.open(io.BytesIO(content))
    if image.mode.startswith("I"):  # 16 bits of grey, which Pillow's convert would clip
        return np.repeat(np.asarray(image, float)[..., None] / 257, 3, -1)
    page = Image.new("RGBA", image.size, (255, 255, 255, 255))
    page.alpha_composite(image.convert("RGBA"))
    return np.asarray(page.convert("RGB"), float)


@pytest.mark.parametrize(("kind", "bits"), KINDS)
def test_every_kind_is_what_pillow_shows_on_white(kind, bits):
    content = png(kind, bits, *drawn(kind, bits))
    found = read(content)
    assert np.abs(found - on_white(content)).max() <= 1
    if kind in (GREY, RGB):  # nothing is transparent: black is black and white is white
        assert found[0, :2, 0].tolist() == [0, 255]


@pytest.mark.parametrize("bits", DEPTHS[PALETTE])
def test_a_palette_with_alpha_is_composited(bits):
    samples, palette = drawn(PALETTE, bits)
    alphas = np.linspace(1, 200, 2**bits, dtype=np.uint8)[: max(2**bits - 1, 1)]  # the last entry has none: opaque
    content = png(PALETTE, bits, samples, palette, alphas.tobytes())
    found = read(content)
    assert np.abs(found - on_white(content)).max() <= 1
    assert np.abs(found - on_white(png(PALETTE, bits, samples, palette))).max() > 1


@pytest.mark.parametrize(("kind", "bits"), [(kind, bits) for kind, bits in KEYED if kind != PALETTE])
def test_the_one_colour_that_is_not_there_is_white(kind, bits):
    samples, _ = drawn(kind, bits)
    key = samples[0, 0] = samples[4, 6] = samples[2, 3]
    content = png(kind, bits, samples, transparent=key.astype(">u2").tobytes())
    eight = samples >> 8 if bits == 16 else samples * 255 // (2**bits - 1)
    expected = np.where((samples == key).all(-1, keepdims=True), 255, np.broadcast_to(eight, (5, 7, 3)))
    np.testing.assert_array_equal(read(content)[[0, 2, 4], [0, 3, 6]], 255)
    assert np.abs(read(content).astype(int) - expected).max() <= 1


def test_kinds_can_be_mixed_in_one_stream():
    contents = [png(kind, bits, *drawn(kind, bits)) for kind, bits in KINDS]
    images = list(tf.data.Dataset.from_tensor_slices(contents).map(decode_rgb))
    for content, image in zip(contents, images, strict=True):
        assert np.abs(image.numpy() - on_white(content)).max() <= 1


def test_a_header_that_is_cut_anywhere_is_an_error():
    content = png(GREY, 1, *drawn(GREY, 1))
    for length in itertools.chain(range(2, 34, 4), [24, 25, 26]):
        with pytest.raises(tf.errors.InvalidArgumentError):
            decode_rgb(tf.constant(content[:length]))
