"""Photographs the right way up, against Pillow."""

from __future__ import annotations

import io

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from vq_vae_tf.modalities.image.decode import decode_rgb
from vq_vae_tf.modalities.image.orientation import orientation

compiled = tf.function(decode_rgb, [tf.TensorSpec((), tf.string)], autograph=False)
read = tf.function(orientation, [tf.TensorSpec((), tf.string)], autograph=False)


def photograph(turned=None, order="big"):
    """The bytes of a picture, 16x24, whose four corners differ, with a note of how it is turned."""
    pixels = np.zeros((16, 24, 3), np.uint8)
    pixels[:8, :12], pixels[:8, 12:], pixels[8:, :12] = (250, 0, 0), (0, 250, 0), (0, 0, 250)
    exif = Image.Exif()
    exif.endian = {"big": ">", "little": "<"}[order]
    exif[0x010F] = "a camera"  # entries before and after
    if turned is not None:
        exif[0x0112] = turned
    exif[0x0131] = "a program"
    with io.BytesIO() as file:
        Image.fromarray(pixels).save(file, "jpeg", exif=exif.tobytes(), quality=95)
        return file.getvalue()


@pytest.mark.parametrize("turned", range(1, 9))
@pytest.mark.parametrize("order", ["big", "little"])
def test_every_orientation_in_both_byte_orders_is_what_pillow_makes_of_it(turned, order):
    content = photograph(turned, order)
    assert (b"MM" if order == "big" else b"II") in content[:40]
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(content)))).astype(int)
    found = compiled(content).numpy().astype(int)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 12  # two decoders, one picture
    assert np.abs(found - np.roll(expected, 8, axis=0)).max() > 100


def segment(marker, body):
    return bytes([0xFF, marker]) + (len(body) + 2).to_bytes(2, "big") + body


@pytest.mark.parametrize(
    "before",
    [
        b"",
        segment(0xE0, b"JFIF\0" + bytes(9)),
        segment(0xFE, b"said"),
        segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x/>") + segment(0xED, bytes(900)),
    ],
)
def test_it_is_found_behind_other_notes(before):
    content = photograph(6)
    content = content[:2] + before + content[2:]
    assert read(content) == 6
    assert compiled(content).shape == (24, 16, 3)


@pytest.mark.parametrize("turned", [None, 0, 9, 300])
def test_no_note_or_a_number_without_meaning_leaves_the_picture_as_it_is(turned):
    assert read(photograph(turned)) == 1
    assert compiled(photograph(turned)).shape == (16, 24, 3)


def test_other_kinds_of_pictures_are_as_before():
    pixels = np.arange(16 * 24 * 3, dtype=np.uint8).reshape(16, 24, 3)
    np.testing.assert_array_equal(compiled(tf.io.encode_png(pixels)), pixels)


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_damaged_notes_are_read_to_a_number_from_1_to_8(data):
    content = bytearray(photograph(6, data.draw(st.sampled_from(["big", "little"]))))
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(2, 90))] = data.draw(st.integers(0, 255))
    assert 1 <= read(bytes(content[: data.draw(st.integers(0, 200))])) <= 8
