"""Are class-conditional samples recognisable? A classifier trained on real CIFAR-10 pictures says how many it names.

    python benchmarks/class_judge.py --export=exports/cifar10/1 --data_dir=FOLDER WITH TFDS DATA
    python benchmarks/class_judge.py --export=... --data_dir=... --quick      # shows that it runs, numbers mean nothing

The judge sees real training pictures only, and is scored on real test pictures first: that is what samples can reach at
most. Reconstructions of the same test pictures say how much of it the codes let through. The export is used as anybody
would use it: by its signatures.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from vq_vae_tf.errors import UserError
from vq_vae_tf.modalities.image.data import open_image_data

BATCH = 100


def judge(classes):
    """A small convolutional network; pictures uint8 in, logits out."""
    conv = {"padding": "same", "use_bias": False}
    layers = [keras.layers.Input((32, 32, 3)), keras.layers.Rescaling(1 / 127.5, -1.0)]
    for units, pool in ((32, True), (64, False), (64, True), (128, False), (128, False)):
        layers += [keras.layers.Conv2D(units, 3, **conv), keras.layers.BatchNormalization(), keras.layers.ReLU()]
        layers += [keras.layers.MaxPooling2D()] if pool else []
    layers += [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(classes)]
    return keras.Sequential(layers)


def trained_judge(data, steps, seed):
    """Adam, one cosine from 2e-3 to zero, pictures mirrored at random."""
    keras.utils.set_random_seed(seed)
    model = judge(len(data.class_names))
    rate = keras.optimizers.schedules.CosineDecay(2e-3, steps)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(rate), loss, jit_compile=False)
    batches = data.training_batches(batch_size=128, seed=seed, start_step=0, augment=True)
    pairs = batches.map(lambda batch: (batch["x"], batch["label"]))
    model.fit(pairs, steps_per_epoch=steps, epochs=1, shuffle=False, verbose=0)
    return model


def named(model, x, label):
    """Which pictures the judge names rightly, bool `[n]`."""
    return model.predict(x, batch_size=500, verbose=0).argmax(-1) == label


def samples(signatures, classes, per_class, temperature, seed):
    """Pictures and their labels; every batch holds all classes and is drawn with a seed of its own."""
    label = np.arange(BATCH) % classes
    made = []
    for i in range(-(-per_class * classes // BATCH)):
        given = {"seed": tf.constant(seed + i), "label": tf.constant(label, tf.int32)}
        made.append(signatures["sample"](**given, temperature=tf.constant(temperature))["image"].numpy())
    return np.concatenate(made), np.tile(label, len(made))


def show(what, right, classes):
    share, error = right.mean(), np.sqrt(right.mean() * (1 - right.mean()) / len(right))
    print(f"{what:<34} {share:6.1%} +- {error:.1%}   {share * classes:5.2f} times chance   {len(right)} pictures")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--export", required=True, help="version folder of an image export with classes")
    parser.add_argument("--data_dir", default=None, help="where TFDS data lies")
    parser.add_argument("--steps", type=int, default=2000, help="training steps of the judge, of 128 pictures")
    parser.add_argument("--per_class", type=int, default=100, help="samples of each class")
    parser.add_argument("--temperatures", default="1.0,0.8", help="of the samples")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    if not (Path(arguments.export) / "saved_model.pb").is_file():
        raise UserError(f"--export={arguments.export} holds no SavedModel; give a version folder, exports/cifar10/1.")
    signatures = tf.saved_model.load(arguments.export).signatures
    if "sample" not in signatures:
        raise UserError(f"--export={arguments.export} cannot sample; give an export with a prior.")
    steps, per_class = (20, 10) if arguments.quick else (arguments.steps, arguments.per_class)
    data = open_image_data("cifar10", arguments.data_dir)
    classes = len(data.class_names)
    test = list(data.examples("test", 500).take(2) if arguments.quick else data.examples("test", 500))
    x, label = (np.concatenate([batch[name].numpy() for batch in test]) for name in ("x", "label"))
    started = time.time()
    model = trained_judge(data, steps, arguments.seed)
    print(f"judge: {model.count_params():,} parameters, {steps} steps, {time.time() - started:.0f} s")
    show("real test pictures", named(model, x, label), classes)
    again = [signatures["reconstruct"](image=x[i : i + 500])["image"].numpy() for i in range(0, len(x), 500)]
    show("their reconstructions", named(model, np.concatenate(again), label), classes)
    for temperature in map(float, arguments.temperatures.split(",")):
        drawn, asked = samples(signatures, classes, per_class, temperature, arguments.seed)
        right = named(model, drawn, asked)
        show(f"samples at temperature {temperature:g}", right, classes)
        print("   " + ", ".join(f"{n} {right[asked == i].mean():.0%}" for i, n in enumerate(data.class_names)))


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"class_judge: {error}")
