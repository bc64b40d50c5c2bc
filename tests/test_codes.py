from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf

from vq_vae_tf.codes import MANIFEST, CodeManifest, code_dtype, open_codes, read_manifest, write_codes
from vq_vae_tf.errors import UserError
from vq_vae_tf.files import sha256_of

CLASSES = ("ant", "bee", "cow")


def make_codes(num_codes=7, shape=(2, 3), sizes=None, seed=0):
    random = np.random.default_rng(seed)
    return {
        split: {
            "codes": random.integers(0, num_codes, (size, *shape)).astype(np.int32),
            "label": random.integers(0, 3, size).astype(np.int32),
        }
        for split, size in (sizes or {"train": 23, "test": 5}).items()
    }


def batched(arrays, batch_size=4):
    size = len(arrays["codes"])
    return [{k: v[i : i + batch_size] for k, v in arrays.items()} for i in range(0, size, batch_size)]


def write(directory, data, **options):
    options = {"num_codes": 7, "code_shape": (2, 3), "class_names": CLASSES, "model_digest": "d" * 64} | options
    options = {"examples_per_file": 10} | options
    return write_codes(directory, {split: batched(arrays) for split, arrays in data.items()}, **options)


def read(codes, split):
    batches = list(codes.examples(split, 4))
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


@pytest.fixture
def written(tmp_path):
    data = make_codes()
    return tmp_path, data, write(tmp_path, data)


def test_reads_what_was_written_in_order(written):
    directory, data, manifest = written
    codes = open_codes(directory, "d" * 64)
    assert codes.manifest == manifest
    assert codes.sizes == {"train": 23, "test": 5}
    for split, arrays in data.items():
        result = read(codes, split)
        assert result["codes"].dtype == np.int32
        assert result["label"].dtype == np.int32
        np.testing.assert_array_equal(result["codes"], arrays["codes"])
        np.testing.assert_array_equal(result["label"], arrays["label"])
        np.testing.assert_array_equal(manifest.histogram(split), np.bincount(arrays["codes"].ravel(), minlength=7))


@pytest.mark.parametrize("num_codes", [2, 256, 257, 65536, 65537])
def test_every_width_of_code_survives(tmp_path, num_codes):
    codes = np.array([[0, num_codes - 1], [num_codes // 2, 1]], np.int32)
    write(tmp_path, {"test": {"codes": codes}}, num_codes=num_codes, code_shape=(2,), class_names=())
    assert code_dtype(num_codes).itemsize == {2: 1, 256: 1, 257: 2, 65536: 2, 65537: 4}[num_codes]
    np.testing.assert_array_equal(read(open_codes(tmp_path), "test")["codes"], codes)


def test_histogram_counts_each_codebook_apart(tmp_path):
    codes = np.array([[[0, 4], [1, 4]], [[0, 3], [2, 4]]], np.int32)  # [batch, grid, num_codebooks]
    data = {"train": {"codes": codes}}
    manifest = write(tmp_path, data, num_codes=5, code_shape=(2, 2), num_codebooks=2, class_names=())
    np.testing.assert_array_equal(manifest.histogram("train"), [[2, 1, 1, 0, 0], [0, 0, 0, 1, 3]])
    assert read_manifest(tmp_path).num_codebooks == 2
    assert set(read(open_codes(tmp_path), "train")) == {"codes"}


def test_training_batches_follow_the_seed_and_resume(written):
    codes = open_codes(written[0])
    whole = [b["codes"].numpy() for b in codes.training_batches(4, seed=3).take(8)]
    resumed = [b["codes"].numpy() for b in codes.training_batches(4, seed=3, start_step=5).take(3)]
    np.testing.assert_array_equal(whole[5:], resumed)
    epoch = np.concatenate([b["codes"] for b in codes.training_batches(23, seed=3).take(1)])
    expected = written[1]["train"]["codes"]
    assert sorted(map(bytes, epoch)) == sorted(map(bytes, expected))
    assert whole[0].dtype == np.int32


def test_the_same_codes_give_the_same_bytes(tmp_path):
    for name in "ab":
        write(tmp_path / name, make_codes())
    first, second = ({p.name: p.read_bytes() for p in (tmp_path / n).iterdir()} for n in "ab")
    assert first == second


@pytest.mark.parametrize("damage", ["short", "flipped", "missing", "empty"])
def test_damaged_file_is_named(written, damage):
    directory, _, manifest = written
    path = directory / manifest.splits["train"]["files"][1]["name"]
    content = bytearray(path.read_bytes())
    if damage == "missing":
        path.unlink()
    else:
        content[40] ^= 1
        path.write_bytes({"short": content[:-7], "flipped": content, "empty": b""}[damage])
    codes = open_codes(directory)
    read(codes, "test")
    with pytest.raises(UserError, match=path.name):
        codes.training_batches(4, seed=0)


def rewrite_manifest(directory, manifest: CodeManifest, without=""):
    """A manifest that is whole and valid, but says something else about the same files."""
    from vq_vae_tf.codes import _digest
    from vq_vae_tf.files import write_json

    content = {name: value for name, value in dataclasses.asdict(manifest).items() if name != without}
    write_json(directory / MANIFEST, content | {"sha256": _digest(content)})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_codes": 5}, "expected 0..4"),
        ({"code_shape": (5, 5)}, "not codes of this format"),
    ],
)
def test_codes_that_do_not_fit_the_manifest_are_refused(written, change, message):
    directory, _, manifest = written
    rewrite_manifest(directory, dataclasses.replace(manifest, **change))
    with pytest.raises(UserError, match=f"(?s)train-00000.*{message}"):
        open_codes(directory).examples("train", 4)


def test_foreign_model_is_refused(written):
    with pytest.raises(UserError, match=r"dddddddddddd.*expected those of eeeeeeeeeeee"):
        open_codes(written[0], "e" * 64)


def test_no_codes_no_split(tmp_path, written):
    with pytest.raises(UserError, match="encode the data set first"):
        open_codes(tmp_path / "nowhere")
    with pytest.raises(UserError, match="no split 'validation'"):
        open_codes(written[0]).examples("validation", 4)


@pytest.mark.parametrize("damage", ["short", "edited", "version", "list", "keys"])
def test_damaged_manifest_is_named(written, damage):
    path = written[0] / MANIFEST
    content = json.loads(path.read_text())
    changed = {
        "short": path.read_text()[:-40],
        "edited": json.dumps(content | {"num_codes": 8}),
        "version": json.dumps(content | {"format_version": 99}),
        "list": "[1, 2]",
        "keys": json.dumps({"sha256": "x"}),
    }
    path.write_text(changed[damage])
    with pytest.raises(UserError, match=MANIFEST):
        read_manifest(written[0])


def test_layout_is_kept_and_an_unknown_one_refused(written):
    directory, data, manifest = written
    assert manifest.layout == "raster"
    write(directory, data, layout="two_level")
    assert read_manifest(directory).layout == "two_level"
    with pytest.raises(ValueError, match="layout='spiral'"):
        write(directory, data, layout="spiral")
    rewrite_manifest(directory, dataclasses.replace(manifest, layout="spiral"))
    with pytest.raises(UserError, match="layout 'spiral', expected one of raster, two_level"):
        read_manifest(directory)


def test_manifests_from_before_the_layout_had_a_name_are_read(written):
    directory, _, manifest = written
    rewrite_manifest(directory, manifest, without="layout")
    assert open_codes(directory).manifest == manifest


@pytest.mark.parametrize("codes", [[[0, 7]], [[-1, 0]], [[1, 2, 3]]])
def test_wrong_codes_are_never_written(tmp_path, codes):
    with pytest.raises(ValueError, match="codes of split 'train'"):
        write(tmp_path, {"train": {"codes": np.array(codes)}}, code_shape=(2,), class_names=())
    assert not list(tmp_path.iterdir())


def test_interrupted_encoding_leaves_the_earlier_codes(written):
    directory, data, _ = written
    other = make_codes(seed=1)

    def interrupted():
        yield from batched(other["train"])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_codes(
            directory, {"train": interrupted()}, num_codes=7, code_shape=(2, 3), class_names=CLASSES,
            model_digest="f" * 64, examples_per_file=10,
        )  # fmt: skip
    np.testing.assert_array_equal(read(open_codes(directory, "d" * 64), "train")["codes"], data["train"]["codes"])
    (directory / ".train-00000-partial.tfrecord").write_bytes(b"half")
    (directory / "notes.tfrecord").write_bytes(b"the user's own")
    write(directory, other, model_digest="f" * 64)
    assert read(open_codes(directory, "f" * 64), "train")["codes"].tolist() == other["train"]["codes"].tolist()
    names = {path.name for path in directory.iterdir()}
    listed = {file["name"] for entry in read_manifest(directory).splits.values() for file in entry["files"]}
    assert names == listed | {MANIFEST, "notes.tfrecord"}


def test_unwritable_place_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="could not be written"):
        write(tmp_path / "file" / "codes", make_codes())


def test_a_disk_that_is_full_at_the_manifest_leaves_the_earlier_codes(written, monkeypatch):
    directory, data, _ = written

    def full(path, value):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("vq_vae_tf.codes.write_json", full)
    with pytest.raises(UserError, match=r"could not be written .*No space left"):
        write(directory, make_codes(seed=1), model_digest="f" * 64)
    np.testing.assert_array_equal(read(open_codes(directory, "d" * 64), "train")["codes"], data["train"]["codes"])


def test_others_can_read_the_records(written):
    directory, data, manifest = written
    record = next(iter(tf.data.TFRecordDataset(str(directory / manifest.splits["test"]["files"][0]["name"]))))
    example = tf.train.Example.FromString(record.numpy())
    codes = np.frombuffer(example.features.feature["codes"].bytes_list.value[0], np.uint8).reshape(2, 3)
    np.testing.assert_array_equal(codes, data["test"]["codes"][0])
    assert example.features.feature["label"].int64_list.value[0] == data["test"]["label"][0]


NAMES = {
    "train": (*(f"ant/{i:02d}.png" for i in range(22)), "Ämter/naïve name#1.png"),
    "test": tuple(f"bee/{i}.png" for i in range(5)),
}


def test_names_come_back_in_the_order_of_the_examples(tmp_path):
    data = make_codes()
    manifest = write(tmp_path / "named", data, names=NAMES)
    codes = open_codes(tmp_path / "named")
    assert len(manifest.splits["train"]["files"]) == 3
    for split, arrays in data.items():
        by_name = dict(zip(codes.names(split), read(codes, split)["codes"], strict=True))
        assert tuple(by_name) == NAMES[split]
        for name, expected in zip(NAMES[split], arrays["codes"], strict=True):
            np.testing.assert_array_equal(by_name[name], expected)
    record = next(iter(tf.data.TFRecordDataset(str(tmp_path / "named" / manifest.splits["test"]["files"][0]["name"]))))
    feature = tf.train.Example.FromString(record.numpy()).features.feature["name"]
    assert [value.decode() for value in feature.bytes_list.value] == ["bee/0.png"]
    with pytest.raises(UserError, match="no split 'validation'"):
        codes.names("validation")


def test_names_change_nothing_that_is_trained_on(tmp_path):
    write(tmp_path / "named", make_codes(), names=NAMES)
    write(tmp_path / "plain", make_codes())
    named, plain = (open_codes(tmp_path / folder) for folder in ("named", "plain"))
    for one, other in zip(named.training_batches(4, 3).take(3), plain.training_batches(4, 3).take(3), strict=True):
        assert set(one) == set(other) == {"codes", "label"}
        np.testing.assert_array_equal(one["codes"], other["codes"])
    keys = {"format_version", "num_codes", "code_shape", "num_codebooks", "num_labels", "class_names", "model_digest"}
    for key in keys | {"layout"}:  # so that earlier versions read these codes too
        assert getattr(named.manifest, key) == getattr(plain.manifest, key)
    assert set(json.loads((tmp_path / "named" / MANIFEST).read_text())) == keys | {"layout", "splits", "sha256"}


def test_codes_without_names_are_read_and_say_so_when_asked_for_names(tmp_path):
    data = make_codes()
    write(tmp_path, data, names={"test": NAMES["test"], "train": ()})
    codes = open_codes(tmp_path)
    np.testing.assert_array_equal(read(codes, "train")["codes"], data["train"]["codes"])
    assert codes.names("test") == NAMES["test"]
    with pytest.raises(UserError, match=r"do not say which files they come from; encode a folder .* \(bin/encode\)\.$"):
        codes.names("train")


@pytest.mark.parametrize("count", [22, 24])
def test_another_number_of_names_than_examples_is_never_written(tmp_path, count):
    with pytest.raises(ValueError, match=f"split 'train' have {count} names"):
        write(tmp_path, make_codes(sizes={"train": 23}), names={"train": [f"{i}.png" for i in range(count)]})
    assert not (tmp_path / MANIFEST).exists()


def rewrite_records(directory, manifest, change):
    """The first file of "test" with every Example changed by `change(number, example)`, listed with its new digest."""
    entry = manifest.splits["test"]["files"][0]
    path = directory / entry["name"]
    records = [record.numpy() for record in tf.data.TFRecordDataset(str(path))]
    with tf.io.TFRecordWriter(str(path)) as writer:
        for number, record in enumerate(records):
            example = tf.train.Example.FromString(record)
            change(number, example.features.feature)
            writer.write(example.SerializeToString())
    splits = {**manifest.splits, "test": manifest.splits["test"] | {"files": [entry | {"sha256": sha256_of(path)}]}}
    rewrite_manifest(directory, dataclasses.replace(manifest, splits=splits))
    return path


@pytest.mark.parametrize("damage", ["one is missing", "no UTF-8", "a number", "two"])
def test_damaged_names_name_the_file_and_leave_the_codes_readable(tmp_path, damage):
    def change(number, features):
        if number == 2:
            if damage == "one is missing":
                del features["name"]
            elif damage == "no UTF-8":
                features["name"].bytes_list.value[0] = b"\xff.png"
            elif damage == "a number":
                features["name"].int64_list.value.append(3)
            else:
                features["name"].bytes_list.value.append(b"more")

    data = make_codes()
    path = rewrite_records(tmp_path, write(tmp_path, data, names=NAMES), change)
    codes = open_codes(tmp_path)
    np.testing.assert_array_equal(read(codes, "test")["codes"], data["test"]["codes"])
    with pytest.raises(UserError, match=f"{path.name}: its records are not codes of this format"):
        codes.names("test")


def test_names_of_a_damaged_file_are_refused(tmp_path):
    manifest = write(tmp_path, make_codes(), names=NAMES)
    path = tmp_path / manifest.splits["train"]["files"][2]["name"]
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(UserError, match=f"{path.name}: damaged or cut short"):
        open_codes(tmp_path).names("train")
