"""What is drawn below the kept part of a picture, and in which row, with a prior that draws what it is told."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from vq_vae_tf.errors import UserError
from vq_vae_tf.pipeline import sampling
from vq_vae_tf.pipeline.modality import Draw

SIZE, EACH = 4, 2
CLASSES = ("cat", "dog", "ship")
KINDS = [f"kind {i}" for i in range(sampling.CLASSES_SHOWN + 2)]


def of_class(label, temperature):
    """The code that is drawn everywhere."""
    return 100 + 10 * label + int(temperature)


@pytest.fixture
def world(tmp_path, monkeypatch):
    """A run whose codes are grey values: `run(class_names)`, of a prior without classes where there are none."""
    vqvae = SimpleNamespace(encode=lambda images: images[..., 0].astype(np.int32))

    def run(class_names):
        prior = SimpleNamespace(network=SimpleNamespace(num_labels=len(class_names), num_symbols=256))
        monkeypatch.setattr(sampling, "trained_pair", lambda run: (vqvae, prior))
        return SimpleNamespace(
            known=SimpleNamespace(name="toys", image_shape=(SIZE, SIZE, 3), class_names=class_names),
            config=SimpleNamespace(evaluation=SimpleNamespace(samples_per_class=EACH)),
            samples=tmp_path,
        )

    def draw_codes(prior, labels, draw, given, keep_mask):
        drawn = [of_class(label, draw.temperature) for label in labels]
        return np.where(keep_mask, given, np.array(drawn)[:, None, None])

    monkeypatch.setattr(sampling, "draw_codes", draw_codes)
    monkeypatch.setattr(sampling, "decoder", lambda vqvae: lambda codes: np.repeat(codes.numpy()[..., None], 3, -1))
    return run


def photographs(folder, count):
    """Picture files, each of one grey: 1, 2, ..."""
    files = [folder / f"{i + 1}.png" for i in range(count)]
    for i, path in enumerate(files):
        path.write_bytes(tf.io.encode_png(np.full((SIZE, SIZE, 3), i + 1, np.uint8)).numpy())
    return files


def cells(path):
    """(grey above, grey below) of every picture of a grid, row by row."""
    grid = np.asarray(Image.open(path).convert("RGB"))[::2, ::2, 0]
    step = SIZE + 2
    return [
        [(int(grid[y, x]), int(grid[y + SIZE - 1, x])) for x in range(0, grid.shape[1], step)]
        for y in range(0, grid.shape[0], step)
    ]


@pytest.mark.parametrize(
    ("known", "names", "labels"),
    [
        (CLASSES, ("ship",), [2]),
        (CLASSES, ("ship", "cat"), [2, 0]),
        (CLASSES, (), [0, 1, 2]),
        (KINDS, (), list(range(sampling.CLASSES_SHOWN))),
        ((), (), [0]),
    ],
    ids=["one class", "two classes", "every class", "the first classes", "no classes"],
)
def test_every_picture_is_completed_as_every_class_that_is_asked_for(world, tmp_path, known, names, labels):
    draws, output = (Draw(0, 1.0), Draw(0, 2.0)), tmp_path / "grid.png"
    said = sampling.complete_pictures(world(known), draws, names, photographs(tmp_path, 3), 0.5, output)
    expected = [
        [(photo, photo)] * 2 + [(photo, of_class(label, draw.temperature)) for draw in draws for _ in range(EACH)]
        for photo in (1, 2, 3)
        for label in labels
    ]
    assert cells(output) == expected
    assert said.startswith(f"3 pictures completed in {output}; columns: original, reconstruction, completions")
    told = f"rows of each picture: {', '.join(known[label] for label in labels)}" if known else "completions"
    assert said.endswith(told)


def test_a_class_that_is_not_there_is_refused_and_nothing_written(world, tmp_path):
    files = photographs(tmp_path, 1)
    for known, match in ((CLASSES, "--classes has 'bus', which is no class of toys"), ((), "knows no classes")):
        with pytest.raises(UserError, match=match):
            sampling.complete_pictures(world(known), [Draw(0)], ("cat", "bus"), files, 0.5, None)
    assert list(tmp_path.iterdir()) == files
