"""A folder of pictures as a data set, with class folders or without."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from absl import logging

from vq_vae_tf.errors import UserError
from vq_vae_tf.files import visible_entries, visible_files
from vq_vae_tf.modalities.image.pictures import read_pictures
from vq_vae_tf.modalities.image.source import SPLITS, ImageData, OpenStore

_SUFFIXES = {".jpg", ".jpeg", ".png", ".gif", ".bmp"}
_TEST_PART = 0.1
_NAMED = 5  # unreadable files named in a message


@dataclass(frozen=True)
class Picture:
    """A file: `name` is its path under the root, `label` the name of its class folder or None."""

    name: str
    label: str | None
    split: str


def open_folder(root: str | Path, image_size: int, validation_size: int, strict: bool, max_examples: int) -> ImageData:
    """Opens a folder as a data set.

    Layouts: `root/<class>/*`, or `root/*` without labels, or either under `root/train`, `root/test` and, if wished,
    `root/validation`. Without a test folder about a tenth of the files is the test split: those whose names hash below
    1/10, so that a file keeps its split when others are added. Validation is the `validation_size` next by hash.
    Every file is decoded once here; one that is no JPEG, PNG, GIF or BMP, or is cut short, is left out and counted.

    Raises: UserError for a missing or empty folder, pictures of several sizes when image_size is 0, and unreadable
    files when `strict`.
    """
    root = Path(root).expanduser()
    listed = _hold_out(list_pictures(root), root, validation_size)
    # Sorted by split, so that a split in memory is one slice.
    listed = [p for split in SPLITS for p in [q for q in listed if q.split == split][: max_examples or None]]
    pictures = read_pictures([str(root / picture.name) for picture in listed], image_size)
    _report_unreadable(root, [p.name for p, good in zip(listed, pictures.readable, strict=True) if not good], strict)
    kept = [p for p, good in zip(listed, pictures.readable, strict=True) if good]
    class_names = tuple(sorted({p.label for p in kept if p.label is not None}))
    labels = np.array([class_names.index(p.label) for p in kept if p.label is not None], np.int32)
    stores: dict[str, OpenStore] = {}
    sizes: dict[str, int] = {}
    names: dict[str, tuple[str, ...]] = {}
    for split in SPLITS:
        sizes[split] = sum(p.split == split for p in kept)
        first = sum(sizes.values()) - sizes[split]
        rows = slice(first, first + sizes[split])
        stores[split] = partial(pictures.store, rows, labels[rows] if class_names else None)
        names[split] = tuple(p.name for p in kept[rows])
    return ImageData(f"folder:{root}", pictures.shape, class_names, sizes, len(listed) - len(kept), stores, names)


def list_pictures(root: Path) -> list[Picture]:
    """Every file that may be a picture, ordered by name; all in "train" unless there are split folders."""
    if not root.is_dir():
        raise UserError(f"--dataset=folder:{root}: no such folder, expected one with pictures.")
    folders = {path.name for path in visible_entries(root) if path.is_dir()}
    if "train" in folders and folders <= set(SPLITS):
        found = [picture for split in sorted(folders) for picture in _list_split(root, root / split, split)]
        if len({picture.label is None for picture in found}) > 1:
            raise UserError(f"{root}: some of {sorted(folders)} have class folders and some have none; use one layout.")
    else:
        found = _list_split(root, root, "train")
    if not found:
        raise UserError(f"--dataset=folder:{root}: the folder is empty, expected JPEG, PNG, GIF or BMP files.")
    return sorted(found, key=lambda picture: picture.name)


def _list_split(root: Path, folder: Path, split: str) -> list[Picture]:
    entries = visible_entries(folder)
    classes = [path for path in entries if path.is_dir()]
    loose = [path for path in entries if path.is_file()]
    if not classes:
        return [Picture(path.relative_to(root).as_posix(), None, split) for path in loose]
    if beside := [path.name for path in loose if path.suffix.lower() in _SUFFIXES]:
        raise UserError(
            f"{folder}: pictures ({beside[0]}) beside class folders ({classes[0].name}); move them into a class folder."
        )
    return [
        Picture(path.relative_to(root).as_posix(), label.name, split)
        for label in classes
        for path in visible_files(label)
    ]


def _hold_out(pictures: list[Picture], root: Path, validation_size: int) -> list[Picture]:
    """Moves pictures from train to test and validation where these have no folder of their own."""
    present = {picture.split for picture in pictures}
    by_hash = sorted((p for p in pictures if p.split == "train"), key=lambda p: _hash(p.name))
    moved: dict[str, str] = {}
    if "test" not in present and len(by_hash) > 1:
        count = max(1, sum(_hash(p.name) < _TEST_PART for p in by_hash))
        moved |= {p.name: "test" for p in by_hash[:count]}
        by_hash = by_hash[count:]
    if "validation" not in present:
        if validation_size >= max(len(by_hash), 1):
            raise UserError(f"--validation_size={validation_size}: {root} has {len(by_hash)} training pictures.")
        moved |= {p.name: "validation" for p in by_hash[:validation_size]}
    return [replace(picture, split=moved.get(picture.name, picture.split)) for picture in pictures]


def _hash(name: str) -> float:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:6], "big") / 2**48


def _report_unreadable(root: Path, names: list[str], strict: bool) -> None:
    if not names:
        return
    listed = ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
    message = f"{root}: {len(names)} files are no readable JPEG, PNG, GIF or BMP pictures"
    if strict:
        raise UserError(f"{message}: {listed}; remove or convert them, or leave out --strict.")
    logging.warning("%s and are left out: %s", message, listed)
