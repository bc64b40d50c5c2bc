"""Arithmetically coded code maps in one file: what they are, then message after message.

Bytes: "VQPACK1\\n"; the length of the header, 4 bytes, big-endian; the header, JSON in zlib; the messages. Nothing of
it is executed or unpickled, and what it says is checked before it is believed.
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from pathlib import Path

import numpy as np

from vq_vae_tf.errors import UserError
from vq_vae_tf.files import replacing

MAGIC = b"VQPACK1\n"
_LENGTH = 4
_MOST = 1 << 28
"""Bytes of a header, unpacked: some ten million names."""


@dataclass(frozen=True)
class Packed:
    """The messages of code maps and how to read them.

    names: one a map, such as of the picture's file. vqvae, prior: digests of the weights that made the codes and the
    messages; they say everything of K and of shapes. digest: of the codes, see `codes_digest`.
    """

    names: tuple[str, ...]
    vqvae: str
    prior: str
    digest: str
    messages: tuple[bytes, ...]


def codes_digest(codes: np.ndarray) -> str:
    """SHA-256 of code maps as little-endian int32: tells whether messages were read as they were written."""
    return hashlib.sha256(np.ascontiguousarray(codes, "<i4").tobytes()).hexdigest()


def write_packed(path: str | os.PathLike[str], packed: Packed) -> int:
    """Writes the file, whole or not at all; returns its bytes. Raises: UserError if it cannot be written."""
    header = asdict(packed) | {"messages": [len(message) for message in packed.messages]}
    head = zlib.compress(json.dumps(header).encode(), 9)
    content = MAGIC + len(head).to_bytes(_LENGTH, "big") + head + b"".join(packed.messages)
    try:
        with replacing(path) as partial:
            partial.write_bytes(content)
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}); give a folder that can.") from error
    return len(content)


def read_packed(path: str | os.PathLike[str]) -> Packed:
    """Reads such a file. Raises: UserError naming it when it is none, is damaged or cut short."""
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); give a file that bin/compress wrote.") from error
    if not content.startswith(MAGIC):
        raise UserError(f"{path} is no file of packed codes; give one that bin/compress of this version wrote.")
    try:
        return _parsed(content[len(MAGIC) :])
    except (ValueError, TypeError, OverflowError, RecursionError, zlib.error) as error:
        raise UserError(f"{path} is damaged or cut short ({error}); pack the pictures again.") from error


def _parsed(content: bytes) -> Packed:
    end = _LENGTH + int.from_bytes(content[:_LENGTH], "big")
    reader = zlib.decompressobj()
    header = json.loads(reader.decompress(content[_LENGTH:end], _MOST))
    if set(header) != {field.name for field in fields(Packed)}:
        raise ValueError(f"its header has {sorted(header)}")
    sizes = [int(size) for size in header["messages"]]
    if any("\0" in name for name in header["names"]):
        raise ValueError("it has a name that no file can have")
    if min((*sizes, 0)) < 0 or sum(sizes) != len(content) - end or len(sizes) != len(header["names"]):
        raise ValueError(
            f"{len(content) - end} bytes of messages, {sum(sizes)} expected for {len(header['names'])} names"
        )
    starts = end + np.concatenate([[0], np.cumsum(np.asarray(sizes, np.int64))])
    texts = {name: str(header[name]) for name in ("vqvae", "prior", "digest")}
    return Packed(
        names=tuple(str(name) for name in header["names"]),
        messages=tuple(content[int(a) : int(b)] for a, b in pairwise(starts)),
        **texts,
    )
