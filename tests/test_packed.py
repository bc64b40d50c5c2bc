"""A file of packed codes: whole or refused, and never trusted."""

from __future__ import annotations

import json
import zlib

import numpy as np
import pytest

from vq_vae_tf.errors import UserError
from vq_vae_tf.packed import MAGIC, Packed, codes_digest, read_packed, write_packed

PACKED = Packed(("a.png", "b/c.png", "d"), "v", "p", "0" * 64, (b"", b"\x00\xff", b"abc"))


def test_what_was_written_is_read(tmp_path):
    size = write_packed(tmp_path / "x.vqpack", PACKED)
    assert size == (tmp_path / "x.vqpack").stat().st_size
    assert read_packed(tmp_path / "x.vqpack") == PACKED
    empty = Packed((), "v", "p", "0" * 64, ())
    write_packed(tmp_path / "x.vqpack", empty)
    assert read_packed(tmp_path / "x.vqpack") == empty


def test_every_cut_is_refused(tmp_path):
    path = tmp_path / "x.vqpack"
    write_packed(path, PACKED)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match=str(path)):
            read_packed(path)
    path.write_bytes(whole + b"x")
    with pytest.raises(UserError, match="damaged"):
        read_packed(path)


@pytest.mark.parametrize(
    "change",
    [
        {"messages": [-1, 3, 3]},
        {"messages": "abc"},
        {"messages": None},
        {"names": ["a", "b"]},
        {"messages": [float("inf"), 2, 3]},
        {"names": ["a", "b\0", "c"]},
        {"names": [1, 2, 3]},
        {"more": 1},
    ],
)
def test_a_header_that_does_not_hold_together_is_refused(tmp_path, change):
    header = {
        "names": ["a", "b", "c"],
        "vqvae": "v",
        "prior": "p",
        "digest": "0",
        "messages": [0, 2, 3],
        **change,
    }
    head = zlib.compress(json.dumps(header).encode())
    path = tmp_path / "x.vqpack"
    path.write_bytes(MAGIC + len(head).to_bytes(4, "big") + head + b"12345")
    with pytest.raises(UserError, match="damaged or cut short"):
        read_packed(path)


def test_a_header_nested_without_end_is_refused(tmp_path):
    head = zlib.compress(b"[" * 1_000_000)
    (tmp_path / "x").write_bytes(MAGIC + len(head).to_bytes(4, "big") + head)
    with pytest.raises(UserError, match="damaged or cut short"):
        read_packed(tmp_path / "x")


def test_what_is_no_such_file_is_named(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        read_packed(tmp_path / "none")
    (tmp_path / "x").write_bytes(b"\x89PNG")
    with pytest.raises(UserError, match="no file of packed codes"):
        read_packed(tmp_path / "x")
    with pytest.raises(UserError, match="cannot be written"):
        write_packed(tmp_path / "x" / "y", PACKED)


def test_the_digest_tells_codes_apart():
    codes = np.arange(6).reshape(1, 2, 3)
    assert codes_digest(codes) == codes_digest(codes.astype(np.int16))
    assert codes_digest(codes) != codes_digest(codes[:, :, ::-1])
