from __future__ import annotations

import io

import numpy as np
import pytest
from absl import logging

from vq_vae_tf.batches import ReadingStore
from vq_vae_tf.errors import UserError
from vq_vae_tf.modalities.image import source
from vq_vae_tf.modalities.image.data import open_image_data

Image = pytest.importorskip("PIL.Image", reason="the tests write their pictures with Pillow")
PIXELS = np.random.default_rng(0).integers(0, 256, (8, 8, 4), dtype=np.uint8)


def encoded(pixels, kind="PNG", mode=None, **options):
    image = Image.fromarray(pixels)
    stream = io.BytesIO()
    (image.convert(mode) if mode else image).save(stream, kind, **options)
    return stream.getvalue()


def write(root, files):
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def numbered(count, names="{}.png", size=8):
    """Pictures told apart by their constant grey."""
    return {names.format(i): encoded(np.full((size, size, 3), i, np.uint8)) for i in range(count)}


def opened(root, **options):
    return open_image_data(f"folder:{root}", **options)


def images(data, split="train"):
    return np.concatenate([batch["x"] for batch in data.examples(split, 4)])


def everything(data):
    return np.concatenate([images(data, split) for split, size in data.sizes.items() if size])


def test_classes_and_split_folders(tmp_path):
    write(tmp_path / "train", numbered(3, "cat/{}.png") | numbered(2, "ant/deep/{}.png"))
    write(tmp_path / "test", numbered(2, "cat/{}.png") | numbered(1, "ant/{}.png"))
    data = opened(tmp_path)
    assert data.class_names == ("ant", "cat")
    assert data.sizes == {"train": 5, "validation": 0, "test": 3}
    assert data.image_shape == (8, 8, 3)
    (batch,) = data.examples("train", 9)
    assert batch["label"].numpy().tolist() == [0, 0, 1, 1, 1]
    assert batch["x"][:, 0, 0, 0].numpy().tolist() == [0, 1, 0, 1, 2]
    training = next(iter(data.training_batches(5, seed=0)))
    pairs = {(int(x), int(y)) for x, y in zip(training["x"][:, 0, 0, 0], training["label"], strict=True)}
    assert pairs == {(0, 0), (1, 0), (0, 1), (1, 1), (2, 1)}


def test_flat_folder_has_no_labels_and_files_keep_their_split(tmp_path):
    write(tmp_path, numbered(60))
    first = opened(tmp_path)
    assert first.class_names == ()
    assert set(next(iter(first.examples("train", 4)))) == {"x"}
    assert 1 <= first.sizes["test"] <= 15
    assert first.sizes["train"] + first.sizes["test"] == 60
    held_out = set(images(first, "test")[:, 0, 0, 0])
    assert held_out.isdisjoint(images(first)[:, 0, 0, 0])
    write(tmp_path, {f"new{i}.png": encoded(np.full((8, 8, 3), 200, np.uint8)) for i in range(30)})
    assert held_out == set(images(opened(tmp_path), "test")[:, 0, 0, 0]) - {200}


def test_validation_is_held_out_and_fixed(tmp_path):
    write(tmp_path, numbered(40))
    data, again = opened(tmp_path, validation_size=6), opened(tmp_path, validation_size=6)
    assert data.sizes["validation"] == 6
    parts = [set(images(data, split)[:, 0, 0, 0]) for split in data.sizes]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 40
    np.testing.assert_array_equal(images(data, "validation"), images(again, "validation"))


KINDS = {
    "rgb.png": (encoded(PIXELS[..., :3]), PIXELS[..., :3]),
    "grey.png": (encoded(PIXELS[..., 0]), np.repeat(PIXELS[..., :1], 3, -1)),
    "rgb.bmp": (encoded(PIXELS[..., :3], "BMP"), PIXELS[..., :3]),
    "grey.bmp": (encoded(PIXELS[..., 0], "BMP"), np.repeat(PIXELS[..., :1], 3, -1)),
    "still.gif": (encoded(np.repeat(PIXELS[..., :1], 3, -1), "GIF", "L"), np.repeat(PIXELS[..., :1], 3, -1)),
}


@pytest.mark.parametrize("name", KINDS)
def test_lossless_kinds_keep_their_pixels(tmp_path, name):
    content, expected = KINDS[name]
    data = opened(write(tmp_path, {name: content}))
    np.testing.assert_array_equal(everything(data), expected[None])


def test_alpha_is_composited_on_white(tmp_path):
    data = opened(write(tmp_path, {"a.png": encoded(PIXELS)}))
    colour, alpha = PIXELS[..., :3].astype(float), PIXELS[..., 3:] / 255
    assert np.abs(everything(data)[0] - (alpha * colour + (1 - alpha) * 255)).max() <= 0.5 + 1e-6


def test_palette_of_a_bmp_is_applied(tmp_path):
    content = encoded(PIXELS[..., :3], "BMP", "P")
    expected = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    np.testing.assert_array_equal(everything(opened(write(tmp_path, {"p.bmp": content})))[0], expected)


def test_jpeg_grey_and_colour(tmp_path):
    smooth = np.tile(np.linspace(0, 255, 16, dtype=np.uint8)[:, None], (1, 16))
    files = {"g.jpg": encoded(smooth, "JPEG", quality=95), "c.jpeg": encoded(smooth, "JPEG", "RGB", quality=95)}
    for image in everything(opened(write(tmp_path, files))):
        assert np.abs(image.astype(int) - smooth[..., None]).max() < 12


def test_image_size_cuts_the_middle_square_and_averages(tmp_path):
    wide = np.zeros((4, 12, 3), np.uint8)
    wide[:, 4:8] = PIXELS[:4, :4, :3]
    data = opened(write(tmp_path, {"wide.png": encoded(wide)}), image_size=2)
    blocks = PIXELS[:4, :4, :3].reshape(2, 2, 2, 2, 3).mean((1, 3))
    np.testing.assert_array_equal(everything(data)[0], np.round(blocks).astype(np.uint8))
    data = opened(tmp_path, image_size=16)
    assert everything(data).shape == (1, 16, 16, 3)


BROKEN = {
    "a/cut.png": KINDS["rgb.png"][0][:-30],
    "a/notes.txt": b"not a picture",
    "b/empty.jpg": b"",
    "b/cut.jpg": encoded(np.zeros((32, 32, 3), np.uint8), "JPEG")[:400],
}


def test_broken_files_are_named_counted_and_left_out(tmp_path, monkeypatch):
    warnings = []
    monkeypatch.setattr(logging, "warning", lambda text, *values: warnings.append(text % values))
    good = numbered(6, "a/{}.png") | numbered(6, "b/{}.png")
    data = opened(write(tmp_path, good | BROKEN))
    assert data.skipped == 4
    assert sum(data.sizes.values()) == 12
    assert sorted(everything(data)[:, 0, 0, 0]) == sorted([*range(6)] * 2)
    (warning,) = warnings
    assert "4 files" in warning
    assert all(name in warning for name in BROKEN)
    labels = np.concatenate([b["label"] for s, n in data.sizes.items() if n for b in data.examples(s, 20)])
    assert np.bincount(labels).tolist() == [6, 6]
    with pytest.raises(UserError, match=r"4 files.*a/cut\.png.*--strict"):
        opened(tmp_path, strict=True)


def test_hidden_files_are_none_of_our_business(tmp_path):
    hidden = {".DS_Store": b"x", ".git/config": b"x", "a/.thumb/1.png": b"x", "b/._1.png": b"x"}
    write(tmp_path, numbered(2, "a/{}.png") | numbered(1, "b/{}.png") | hidden)
    data = opened(tmp_path, strict=True)
    assert (data.class_names, data.skipped) == (("a", "b"), 0)


def refused_folders():
    mixed = numbered(2) | {"large.png": encoded(np.zeros((9, 7, 3), np.uint8))}
    beside = numbered(2, "cat/{}.png") | numbered(1)
    layouts = numbered(2, "train/cat/{}.png") | numbered(1, "test/{}.png")
    return {
        "empty": ({}, "empty"),
        "only text": ({"readme.txt": b"hello"}, "none of the files is a readable picture"),
        "mixed sizes": (mixed, r"2 sizes, such as 8x8 \(2\), 7x9 \(1\).*--image_size"),
        "beside": (beside, "beside class folders"),
        "layouts": (layouts, "use one layout"),
    }


@pytest.mark.parametrize("case", refused_folders())
def test_refused_in_one_sentence(tmp_path, case):
    files, message = refused_folders()[case]
    with pytest.raises(UserError, match=message):
        opened(write(tmp_path, files))


def test_missing_folder_and_impossible_numbers(tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        opened(tmp_path / "nowhere")
    write(tmp_path, numbered(3))
    with pytest.raises(UserError, match="--validation_size=5"):
        opened(tmp_path, validation_size=5)
    with pytest.raises(UserError, match="--image_size=-1"):
        opened(tmp_path, image_size=-1)
    with pytest.raises(UserError, match="no examples in split 'validation'"):
        opened(tmp_path).examples("validation", 4)


def test_large_folders_are_decoded_on_the_fly_with_the_same_batches(tmp_path, monkeypatch):
    write(tmp_path, numbered(9, "a/{}.png") | numbered(7, "b/{}.png") | {"a/cut.png": BROKEN["a/cut.png"]})
    in_memory = opened(tmp_path)
    monkeypatch.setattr(source, "IN_MEMORY_BYTES", 100)
    streamed = opened(tmp_path)
    assert isinstance(streamed.store("train"), ReadingStore)
    assert not isinstance(in_memory.store("train"), ReadingStore)
    assert streamed.sizes == in_memory.sizes
    np.testing.assert_array_equal(everything(streamed), everything(in_memory))
    streams = [data.training_batches(4, seed=1, start_step=2, augment=True).take(6) for data in (in_memory, streamed)]
    for first, second in zip(*streams, strict=True):
        np.testing.assert_array_equal(first["x"], second["x"])
        np.testing.assert_array_equal(first["label"], second["label"])


def test_augmentation_mirrors_half_and_depends_on_seed_epoch_and_example(tmp_path):
    ramp = np.tile(np.arange(8, dtype=np.uint8)[None, :, None], (8, 1, 3))
    count = 24
    data = opened(
        write(tmp_path / "train", {f"{i}.png": encoded(ramp + np.uint8(10 * i)) for i in range(count)}).parent
    )
    size = data.sizes["train"]

    def flips(batch_size, epochs, seed=0, start=0, shards=1):
        """(epoch, example) -> mirrored?"""
        found, position = {}, start * batch_size
        streams = [
            iter(data.training_batches(batch_size, seed, start, augment=True, num_shards=shards, shard=shard))
            for shard in range(shards)
        ]
        while position < epochs * size:
            for image in np.concatenate([next(stream)["x"] for stream in streams]):
                example, mirrored = int(image[0].min()) // 10, bool(image[0, 0, 0] > image[0, 7, 0])
                restored = image[:, ::-1] if mirrored else image
                np.testing.assert_array_equal(restored, ramp + np.uint8(10 * example))
                found[position // size, example] = mirrored
                position += 1
        return {key: value for key, value in found.items() if key[0] < epochs}

    whole = flips(8, epochs=4)
    assert len(whole) == 4 * size
    assert 0.3 < np.mean(list(whole.values())) < 0.7
    assert flips(5, epochs=4) == whole
    assert flips(8, epochs=4, shards=2) == whole
    assert flips(8, epochs=4, seed=1) != whole
    later = flips(8, epochs=4, start=5)
    assert later == {key: whole[key] for key in later}
    examples = {example for _, example in whole}
    by_epoch = {tuple(whole[epoch, example] for example in examples) for epoch in range(4)}
    assert len(by_epoch) == 4


@pytest.mark.parametrize("in_memory", [True, False])
def test_each_example_has_the_name_of_its_file(tmp_path, in_memory, monkeypatch):
    if not in_memory:
        monkeypatch.setattr(source, "IN_MEMORY_BYTES", 0)
    write(tmp_path, numbered(9, "cat/{}.png") | numbered(9, "ant/deep/1{}.png") | {"cat/5.png": b"no picture"})
    data = opened(tmp_path, validation_size=3)
    assert min(data.sizes.values()) > 0
    assert sorted(name for names in data.names.values() for name in names) == sorted(
        path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.png") if path.name != "5.png"
    )
    for split in data.sizes:
        for name, image in zip(data.names[split], images(data, split), strict=True):
            np.testing.assert_array_equal(image, np.asarray(Image.open(tmp_path / name)))
