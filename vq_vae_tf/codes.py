"""Code maps on disk: TFRecord files and a manifest that says what they are and proves that they are whole.

A directory holds `manifest.json` and `{split}-{number}-{sha256[:8]}.tfrecord`. The manifest is replaced last, in one
rename: a reader finds the old codes or all of the new ones. Each record is a `tf.train.Example`: "codes" = one bytes
value, little-endian integers of `code_dtype(num_codes)` in raster order; "label" = one int64, where there are labels;
"name" = one bytes value, UTF-8, where the data come from files: the path of the example's file (of video: of the film
or the episode's folder) relative to the folder of data, with forward slashes; where several examples come from one
file, as pieces of a sound and clips of a film do, "#" and the example's number among these follow, from 0.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from itertools import islice, repeat
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from vq_vae_tf.batches import ArrayStore, Batch, ordered_batches, training_batches
from vq_vae_tf.disk import writing
from vq_vae_tf.errors import UserError
from vq_vae_tf.files import sha256_of, write_json

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
_EXAMPLES_PER_FILE = 16_384
_PARSE_BATCH = 1_024
LAYOUTS = ("raster", "two_level")
"""What the axes of codes mean: as `CodeManifest.code_shape` says, or two levels (`vq_vae_tf.hierarchy.layout`)."""
_CODE_FILE = re.compile(r"\.?[\w-]+-\d{5}(-[0-9a-f]{8}|-partial)\.tfrecord")


@dataclass(frozen=True)
class CodeManifest:
    """What a directory of codes holds.

    num_codes: K of each code. code_shape: of one example, `(*grid,)` or `(*grid, num_codebooks)`.
    num_codebooks: None where the codes have no channel axis. num_labels: 0 where there are no labels.
    model_digest: of the weights that made the codes.
    splits: split -> {"num_examples", "files": [{"name", "sha256", "num_examples"}], "histogram"}; the histogram counts
    each code over the split: `[num_codes]`, or `[num_codebooks][num_codes]`.
    layout: one of LAYOUTS, which decides what kind of prior fits; manifests from before it had a name are "raster".
    """

    format_version: int
    num_codes: int
    code_shape: tuple[int, ...]
    num_codebooks: int | None
    num_labels: int
    class_names: tuple[str, ...]
    model_digest: str
    splits: Mapping[str, Mapping[str, Any]]
    layout: str = "raster"

    def histogram(self, split: str) -> np.ndarray:
        """Counts of the codes in a split, int64 `[num_codes]` or `[num_codebooks, num_codes]`."""
        return np.asarray(self.splits[split]["histogram"], np.int64)


@dataclass(frozen=True)
class CodeData:
    """Codes opened for reading: "codes" int32 `[batch, *code_shape]` and, with labels, "label" int32 `[batch]`."""

    directory: Path
    manifest: CodeManifest
    _stores: dict[str, ArrayStore] = field(default_factory=dict, repr=False, compare=False)

    @property
    def sizes(self) -> dict[str, int]:
        """Split -> number of examples."""
        return {split: entry["num_examples"] for split, entry in self.manifest.splits.items()}

    def check(self) -> None:
        """Reads all files through. Raises: UserError naming one that is missing or not as it was written."""
        for entry in self.manifest.splits.values():
            for file in entry["files"]:
                _check_file(self.directory / file["name"], file)

    def examples(self, split: str, batch_size: int) -> tf.data.Dataset:
        """Every example of a split once, always in the same order; the last batch may be smaller."""
        return ordered_batches(self.store(split), batch_size).map(_as_int32)

    def training_batches(
        self, batch_size: int, seed: int, start_step: int = 0, *, num_shards: int = 1, shard: int = 0
    ) -> tf.data.Dataset:
        """Endless batches of the training split; the batch of step s depends on (seed, s) only."""
        batches = training_batches(self.store("train"), batch_size, seed, start_step, num_shards, shard)
        return batches.map(_as_int32)

    def names(self, split: str) -> tuple[str, ...]:
        """Where each example of a split comes from, in the order of `examples`: "name" of the module's text.

        Raises: UserError for codes without names, and as `store`.
        """
        files = {self.directory / entry["name"]: entry for entry in _files(self.directory, split, self.manifest)}
        parts = {path: _read_names(path, entry) for path, entry in files.items()}
        if not any(map(any, parts.values())):
            raise UserError(
                f"the codes in {str(self.directory)!r} do not say which files they come from; encode a folder of files "
                "with this version (bin/encode)."
            )
        for path, names in parts.items():
            if not all(names):
                raise _not_codes(path)
        return tuple(name for names in parts.values() for name in names)

    def store(self, split: str) -> ArrayStore:
        """A split in memory, checked: sizes, SHA-256 and range of every file. Raises: UserError naming the file."""
        if split not in self._stores:
            self._stores[split] = _read_split(self.directory, split, self.manifest)
        return self._stores[split]


def code_dtype(num_codes: int) -> np.dtype:
    """The smallest of uint8, uint16 and int32 that holds codes 0..num_codes-1, little-endian."""
    return np.dtype("u1" if num_codes <= 1 << 8 else "<u2" if num_codes <= 1 << 16 else "<i4")


def write_codes(
    directory: str | os.PathLike[str],
    batches: Mapping[str, Iterable[Mapping[str, Any]]],
    *,
    num_codes: int,
    code_shape: tuple[int, ...],
    num_codebooks: int | None = None,
    class_names: tuple[str, ...] = (),
    num_labels: int | None = None,
    model_digest: str,
    layout: str = "raster",
    names: Mapping[str, Sequence[str]] | None = None,
    examples_per_file: int = _EXAMPLES_PER_FILE,
) -> CodeManifest:
    """Writes the codes of every split; an earlier set of codes stays until this one is whole.

    batches: split -> batches with "codes" int `[batch, *code_shape]`, and "label" int `[batch]` where there are labels.
    num_labels: `len(class_names)` unless given (labels without names).
    names: split -> where each example comes from, in order; a split that is not in it, or has none, carries no names.

    Raises: ValueError for codes of another shape or outside 0..num_codes-1, an unknown layout, or another number of
    names than examples; UserError when they cannot be stored.
    """
    directory = Path(directory)
    labels = len(class_names) if num_labels is None else num_labels
    if layout not in LAYOUTS:
        raise ValueError(f"layout={layout!r}; expected one of {LAYOUTS}")
    header: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "num_codes": int(num_codes),
        "code_shape": tuple(int(size) for size in code_shape),
        "num_codebooks": num_codebooks,
        "num_labels": labels,
        "class_names": tuple(class_names),
        "model_digest": model_digest,
        "layout": layout,
    }
    manifest = CodeManifest(**header, splits={})
    splits = {
        split: _write_split(
            directory, split, manifest, split_batches, tuple((names or {}).get(split, ())), examples_per_file
        )
        for split, split_batches in batches.items()
    }
    manifest = CodeManifest(**header, splits=splits)
    content = asdict(manifest)
    with writing(directory):
        write_json(directory / MANIFEST, content | {"sha256": _digest(content)})
        _remove_strangers(directory, manifest)
    return manifest


def read_manifest(directory: str | os.PathLike[str]) -> CodeManifest:
    """Reads and checks `manifest.json`. Raises: UserError naming the file."""
    path = Path(directory) / MANIFEST
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        digest = content.pop("sha256")
        version = content["format_version"]
    except FileNotFoundError:
        raise UserError(f"no codes in {str(directory)!r}: expected a {MANIFEST}; encode the data set first.") from None
    except (ValueError, KeyError, AttributeError, TypeError, OSError) as error:
        raise UserError(
            f"{path}: not a readable manifest of codes ({error}); encode the data again (bin/encode)."
        ) from None
    if version != FORMAT_VERSION:
        raise UserError(
            f"{path}: codes of format {version!r}, expected {FORMAT_VERSION}; encode them with this version."
        )
    sound = digest == _digest(content)
    content.setdefault("layout", "raster")
    if not sound or set(content) != {field.name for field in fields(CodeManifest)}:
        raise UserError(f"{path}: was changed after it was written; encode the data again (bin/encode).")
    if content["layout"] not in LAYOUTS:
        raise UserError(
            f"{path}: codes in the layout {content['layout']!r}, expected one of {', '.join(LAYOUTS)}; use the version "
            "that wrote them, or encode the data again (bin/encode)."
        )
    content["code_shape"], content["class_names"] = tuple(content["code_shape"]), tuple(content["class_names"])
    return CodeManifest(**content)


def open_codes(directory: str | os.PathLike[str], model_digest: str | None = None) -> CodeData:
    """Opens a directory of codes; with `model_digest`, refuses those of another model. Raises: UserError."""
    manifest = read_manifest(directory)
    if model_digest is not None and manifest.model_digest != model_digest:
        raise UserError(
            f"{Path(directory) / MANIFEST}: codes of model {manifest.model_digest[:12]}, expected those of "
            f"{model_digest[:12]}; encode the data set with this model."
        )
    return CodeData(Path(directory), manifest)


def _write_split(
    directory: Path,
    split: str,
    manifest: CodeManifest,
    batches: Iterable[Mapping[str, Any]],
    names: tuple[str, ...],
    examples_per_file: int,
) -> dict[str, Any]:
    histogram = np.zeros((manifest.num_codebooks or 1, manifest.num_codes), np.int64)
    files: list[dict[str, Any]] = []
    records = _records(split, manifest, batches, names, histogram)
    while chunk := list(islice(records, examples_per_file)):
        files.append(_write_file(directory, f"{split}-{len(files):05d}", chunk))
    counts = histogram if manifest.num_codebooks is not None else histogram[0]
    return {
        "num_examples": sum(file["num_examples"] for file in files),
        "files": files,
        "histogram": counts.tolist(),
    }


def _write_file(directory: Path, stem: str, records: list[bytes]) -> dict[str, Any]:
    partial = directory / f".{stem}-partial.tfrecord"
    try:
        with writing(directory):
            directory.mkdir(parents=True, exist_ok=True)
            with tf.io.TFRecordWriter(str(partial)) as writer:
                for record in records:
                    writer.write(record)
            with open(partial, "rb+") as file:
                os.fsync(file.fileno())
            digest = sha256_of(partial)
            # The digest is in the name, so new codes never overwrite files that the manifest in place still lists.
            name = f"{stem}-{digest[:8]}.tfrecord"
            os.replace(partial, directory / name)
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
    return {"name": name, "sha256": digest, "num_examples": len(records)}


def _records(
    split: str,
    manifest: CodeManifest,
    batches: Iterable[Mapping[str, Any]],
    names: tuple[str, ...],
    histogram: np.ndarray,
) -> Iterator[bytes]:
    """Serialised examples, checked; adds their codes to `histogram` `[num_codebooks or 1, num_codes]` in place."""
    dtype, named = code_dtype(manifest.num_codes), iter(names) if names else repeat(None)
    for batch in batches:
        codes = np.asarray(batch["codes"])
        if codes.shape[1:] != manifest.code_shape:
            raise ValueError(f"codes of split {split!r} have shape {codes.shape[1:]}, expected {manifest.code_shape}")
        if codes.size and (codes.min() < 0 or codes.max() >= manifest.num_codes):
            raise ValueError(
                f"codes of split {split!r} lie in {codes.min()}..{codes.max()}, expected 0..{manifest.num_codes - 1}"
            )
        for counts, channel in zip(histogram, np.moveaxis(codes.reshape(-1, len(histogram)), 1, 0), strict=True):
            counts += np.bincount(channel, minlength=manifest.num_codes)
        labels = np.asarray(batch["label"]) if manifest.num_labels else [None] * len(codes)
        given = list(islice(named, len(codes)))
        if len(given) < len(codes):
            raise ValueError(f"codes of split {split!r} have {len(names)} names, expected one for each example")
        for code, label, name in zip(codes.astype(dtype), labels, given, strict=True):
            yield _serialised(code.tobytes(), label, name)
    if names and (more := len(list(named))):
        raise ValueError(f"codes of split {split!r} have {len(names)} names, {more} more than examples")


def _serialised(codes: bytes, label: Any, name: str | None) -> bytes:
    features = {"codes": tf.train.Feature(bytes_list=tf.train.BytesList(value=[codes]))}
    if label is not None:
        features["label"] = tf.train.Feature(int64_list=tf.train.Int64List(value=[int(label)]))
    if name is not None:
        features["name"] = tf.train.Feature(bytes_list=tf.train.BytesList(value=[name.encode()]))
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString(deterministic=True)


def _files(directory: Path, split: str, manifest: CodeManifest) -> list[Mapping[str, Any]]:
    """What the manifest says of the files of a split. Raises: UserError when there are none."""
    if not manifest.splits.get(split, {}).get("num_examples"):
        present = ", ".join(name for name, entry in manifest.splits.items() if entry["num_examples"]) or "none"
        raise UserError(f"the codes in {str(directory)!r} have no split {split!r}: they have {present}.")
    return list(manifest.splits[split]["files"])


def _read_split(directory: Path, split: str, manifest: CodeManifest) -> ArrayStore:
    files = _files(directory, split, manifest)
    parts = [_read_file(directory / entry["name"], entry, manifest) for entry in files]
    return ArrayStore.of({name: np.concatenate([part[name] for part in parts]) for name in parts[0]})


def _read_file(path: Path, entry: Mapping[str, Any], manifest: CodeManifest) -> dict[str, np.ndarray]:
    """The codes (in `code_dtype`) and labels of one file, after every check that can be made."""
    _check_file(path, entry)
    try:
        arrays = _parse(path, manifest)
    except tf.errors.OpError:
        raise _not_codes(path) from None
    codes = arrays["codes"]
    _check_count(path, len(codes), entry)
    if codes.min() < 0 or codes.max() >= manifest.num_codes:
        raise UserError(
            f"{path}: codes in {codes.min()}..{codes.max()}, expected 0..{manifest.num_codes - 1}; encode the data "
            "again (bin/encode)."
        )
    return arrays


def _read_names(path: Path, entry: Mapping[str, Any]) -> list[str]:
    """The names in one file, each empty where a record has none, after the checks of `_read_file`."""
    _check_file(path, entry)
    feature = {"name": tf.io.FixedLenFeature([], tf.string, default_value="")}
    try:
        names = [name.decode() for parsed in _parsed(path, feature) for name in parsed["name"].numpy()]
    except (tf.errors.OpError, UnicodeDecodeError):
        raise _not_codes(path) from None
    _check_count(path, len(names), entry)
    return names


def _not_codes(path: Path) -> UserError:
    return UserError(f"{path}: its records are not codes of this format; encode the data again (bin/encode).")


def _check_count(path: Path, found: int, entry: Mapping[str, Any]) -> None:
    if found != entry["num_examples"]:
        raise UserError(
            f"{path}: {found} examples, the manifest says {entry['num_examples']}; encode again (bin/encode)."
        )


def _check_file(path: Path, entry: Mapping[str, Any]) -> None:
    try:
        found = sha256_of(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); encode the data again (bin/encode).") from None
    if found != entry["sha256"]:
        raise UserError(
            f"{path}: damaged or cut short (SHA-256 {found[:12]}, the manifest says {entry['sha256'][:12]}); "
            "encode the data again (bin/encode)."
        )


def _parse(path: Path, manifest: CodeManifest) -> dict[str, np.ndarray]:
    features = {"codes": tf.io.FixedLenFeature([], tf.string)}
    if manifest.num_labels:
        features["label"] = tf.io.FixedLenFeature([], tf.int64)
    dtype = code_dtype(manifest.num_codes)
    codes, labels = [], []
    for parsed in _parsed(path, features):
        flat = tf.io.decode_raw(parsed["codes"], tf.as_dtype(dtype.newbyteorder("=")))
        codes.append(tf.reshape(flat, (-1, *manifest.code_shape)).numpy())
        if manifest.num_labels:
            labels.append(parsed["label"].numpy().astype(np.int32))
    arrays = {"codes": np.concatenate(codes)}
    return arrays | {"label": np.concatenate(labels)} if manifest.num_labels else arrays


def _parsed(path: Path, features: Mapping[str, Any]) -> Iterator[dict[str, tf.Tensor]]:
    for records in tf.data.TFRecordDataset([str(path)]).batch(_PARSE_BATCH):
        yield tf.io.parse_example(records, features)


def _as_int32(batch: Batch) -> Batch:
    return {name: tf.cast(value, tf.int32) for name, value in batch.items()}


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _remove_strangers(directory: Path, manifest: CodeManifest) -> None:
    """Removes code files, whole or partial, of earlier or interrupted encodings."""
    listed = {file["name"] for entry in manifest.splits.values() for file in entry["files"]}
    for path in directory.iterdir():
        if _CODE_FILE.fullmatch(path.name) and path.name not in listed:
            path.unlink(missing_ok=True)
