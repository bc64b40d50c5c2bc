from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds

from vq_vae_tf.batches import ReadingStore
from vq_vae_tf.errors import UserError
from vq_vae_tf.modalities.image import source
from vq_vae_tf.modalities.image.data import open_image_data
from vq_vae_tf.modalities.image.tfds_source import from_builder

TRAIN, TEST = 13, 5


class VqVaeTfShapes(tfds.core.GeneratorBasedBuilder):
    """Noise, labelled; `BUILDER_CONFIGS` say of which sizes."""

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = [tfds.core.BuilderConfig(name=name) for name in ("square", "mixed", "grey", "no_image")]  # noqa: RUF012
    code_path = pkg_dir_path = Path(__file__)

    def _info(self):
        name = self.builder_config.name
        shape = {"mixed": (None, None, 3), "grey": (8, 8, 1)}.get(name, (8, 8, 3))
        image = tfds.features.Image(shape=shape, encoding_format="png")
        features = {"picture" if name == "no_image" else "image": image, "other": tfds.features.Text()}
        if name != "grey":
            features["label"] = tfds.features.ClassLabel(names=["a", "b", "c"])
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(0, TRAIN), "test": self._generate_examples(100, TEST)}

    def _generate_examples(self, seed, count):
        (image_name,) = {"image", "picture"} & set(self.info.features)
        for i in range(count):
            random = np.random.default_rng(seed + i)
            width = 8 + 2 * i if self.builder_config.name == "mixed" else 8
            image = random.integers(0, 256, (8, width, self.info.features[image_name].shape[-1]), dtype=np.uint8)
            example = {image_name: image, "other": "x"}
            yield i, example if self.builder_config.name == "grey" else example | {"label": i % 3}


@pytest.fixture(scope="module")
def builder(tmp_path_factory):
    tfds.disable_progress_bar()
    directory = tmp_path_factory.mktemp("tfds")

    def prepared(config):
        result = VqVaeTfShapes(config=config, data_dir=directory)
        result.download_and_prepare()
        return result

    return prepared


def everything(data, split="train"):
    batches = list(data.examples(split, 4))
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def opened(builder, image_size=0, validation_size=0, max_examples=0):
    return from_builder(builder, "shapes", image_size, validation_size, max_examples)


def test_images_and_labels_by_tfds(builder):
    data = opened(builder("square"))
    assert data.sizes == {"train": TRAIN, "validation": 0, "test": TEST}
    assert (data.image_shape, data.class_names) == ((8, 8, 3), ("a", "b", "c"))
    expected = list(tfds.as_numpy(builder("square").as_dataset("train", shuffle_files=False)))
    result = everything(data)
    np.testing.assert_array_equal(result["x"], [example["image"] for example in expected])
    np.testing.assert_array_equal(result["label"], [example["label"] for example in expected])
    assert (result["x"].dtype, result["label"].dtype) == (np.uint8, np.int32)


def test_validation_is_the_end_of_train(builder):
    whole, data = everything(opened(builder("square"))), opened(builder("square"), validation_size=4)
    assert data.sizes == {"train": TRAIN - 4, "validation": 4, "test": TEST}
    np.testing.assert_array_equal(everything(data)["x"], whole["x"][:-4])
    np.testing.assert_array_equal(everything(data, "validation")["x"], whole["x"][-4:])
    with pytest.raises(UserError, match="--validation_size=13"):
        opened(builder("square"), validation_size=13)


def test_max_examples_takes_the_first(builder):
    whole, data = everything(opened(builder("square"))), opened(builder("square"), max_examples=3)
    assert data.sizes == {"train": 3, "validation": 0, "test": 3}
    np.testing.assert_array_equal(everything(data)["x"], whole["x"][:3])


@pytest.mark.parametrize(("config", "image_size"), [("square", 0), ("mixed", 4), ("grey", 16)])
def test_larger_than_memory_gives_the_same_batches(builder, monkeypatch, config, image_size):
    in_memory = opened(builder(config), image_size, validation_size=3)
    monkeypatch.setattr(source, "IN_MEMORY_BYTES", 0)
    streamed = opened(builder(config), image_size, validation_size=3)
    assert isinstance(streamed.store("train"), ReadingStore)
    for split in ("train", "validation", "test"):
        first, second = everything(in_memory, split), everything(streamed, split)
        assert set(first) == set(second) == ({"x"} if config == "grey" else {"x", "label"})
        for name in first:
            np.testing.assert_array_equal(first[name], second[name])
    streams = [data.training_batches(4, seed=1, start_step=2).take(5) for data in (in_memory, streamed)]
    for first, second in zip(*streams, strict=True):
        np.testing.assert_array_equal(first["x"], second["x"])


def test_what_tfds_cannot_give_is_said(builder, tmp_path):
    with pytest.raises(UserError, match=r"many sizes.*--image_size"):
        opened(builder("mixed"))
    with pytest.raises(UserError, match="expected one called 'image'"):
        opened(builder("no_image"))
    with pytest.raises(UserError, match="no such data set, expected a TFDS name"):
        open_image_data("nonesuch", tmp_path)
    with pytest.raises(UserError, match=r"cannot be loaded at version 9\.9\.9"):
        open_image_data("cifar10:9.9.9", tmp_path)
    with pytest.raises(UserError, match="cifar 10!"):
        open_image_data("cifar 10!", tmp_path)


def test_a_damaged_copy_is_named(builder, tmp_path):
    shutil.copytree(builder("square").data_path.parent.parent, tmp_path / "copy")
    (record_file,) = (tmp_path / "copy").glob("square/**/*train*")
    content = bytearray(record_file.read_bytes())
    content[100] ^= 1
    record_file.write_bytes(content)
    damaged = tfds.builder_from_directory(record_file.parent)
    with pytest.raises(UserError, match=r"square/1\.0\.0: split 'train' is damaged"):
        opened(damaged).examples("train", 4)


@pytest.mark.parametrize("error", [ConnectionError("no route to host\nmore"), AssertionError("Manual directory")])
def test_a_download_that_fails_is_one_sentence(tmp_path, monkeypatch, error):
    (tmp_path / "imagenet2012/4.9.9").mkdir(parents=True)
    (tmp_path / "imagenet2012/4.9.9/dataset_info.json").write_text("{}")

    def fail(*_, **__):
        raise error

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", fail)
    message = (
        r"imagenet2012.*present: 4\.9\.9.*" + str(error).splitlines()[0] + r".*ILSVRC2012_img_train\.tar.*--data_dir"
    )
    with pytest.raises(UserError, match=message) as caught:
        open_image_data("imagenet2012", tmp_path)
    assert "\n" not in str(caught.value)


def real_data():
    beside = Path(__file__).resolve().parents[4] / "shared" / "data" / "tensorflow_datasets"
    directory = Path(os.environ.get("VQ_VAE_TF_DATA", beside))
    if not (directory / "cifar10").is_dir():
        pytest.skip("no CIFAR-10 in VQ_VAE_TF_DATA (a TFDS directory)")
    return directory


def test_cifar10_is_all_there():
    data = open_image_data("cifar10", real_data(), validation_size=5_000)
    assert data.sizes == {"train": 45_000, "validation": 5_000, "test": 10_000}
    assert (data.image_shape, len(data.class_names)) == ((32, 32, 3), 10)
    test = everything(data, "test")
    assert np.bincount(test["label"]).tolist() == [1_000] * 10
    assert np.mean(test["x"] / np.float32(255), dtype=np.float64) == pytest.approx(0.4765, abs=1e-3)
