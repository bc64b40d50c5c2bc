"""Gated PixelCNN and Transformer over the same codes, at equal parameters and equal steps: bits per code on test codes.

    python benchmarks/prior_comparison.py --export=exports/cifar10/1 --data_dir=FOLDER WITH TFDS DATA --steps=1000
    python benchmarks/prior_comparison.py --export=... --data_dir=... --quick    # shows that it runs, nothing else

The codes are those that an image export's `encode` gives. Sizes of the PixelCNN are those of the export's prior; the
Transformer gets as many layers and the width at which it has nearly as many parameters. Both are trained alike
(batches, seed, Adam, one cosine, dropout, clipping); only the peak learning rate may be given for each. Beside them:
what a code costs under a uniform distribution, and under its own frequency.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import keras
import tensorflow as tf

from vq_vae_tf.autoregressive import NETWORKS
from vq_vae_tf.codes import open_codes, write_codes
from vq_vae_tf.errors import UserError
from vq_vae_tf.modalities.image.data import open_image_data
from vq_vae_tf.pipeline.scoring import measure_prior
from vq_vae_tf.prior import Prior

HEADS = 4


def encoded(export, told, data_dir):
    """Codes of both splits as the export gives them, read into memory from a folder that is gone afterwards."""
    data = open_image_data(told["config"]["dataset"], data_dir)
    model = tf.saved_model.load(str(export))
    encode = model.signatures["encode"]
    with tempfile.TemporaryDirectory() as folder:
        splits = {
            split: ({**encode(image=b["x"]), "label": b["label"]} for b in data.examples(split, 500))
            for split in ("train", "test")
        }
        sizes = {"num_codes": told["num_codes"], "code_shape": tuple(told["code_shape"])}
        names = tuple(told["class_names"])
        write_codes(folder, splits, **sizes, class_names=names, model_digest=told["digests"]["vqvae"])
        codes = open_codes(folder)
        for split in splits:
            codes.store(split)
    return codes


def prior(name, manifest, config, features, layers):
    """With its weights created."""
    heads = {"num_heads": HEADS} if name == "transformer" else {}
    network = NETWORKS[name](
        num_symbols=manifest.num_codes,
        symbol_shape=manifest.code_shape,
        num_channels=manifest.num_codebooks,
        num_labels=manifest.num_labels,
        features=features,
        num_layers=layers,
        dropout=config.prior_dropout,
        **heads,
    )
    model = Prior(network)
    model.build()
    return model


def matched_transformer(target, manifest, config, layers):
    """The Transformer of so many layers whose number of parameters is nearest to `target`."""
    sizes = range(HEADS * 4, 513, HEADS * 2)
    counts = {features: prior("transformer", manifest, config, features, layers).count_params() for features in sizes}
    return min(counts, key=lambda features: abs(counts[features] - target))


def trained(model, codes, steps, batch_size, rate, seed):
    """Trains in place; returns seconds."""
    warmup = min(200, steps // 5)
    schedule = keras.optimizers.schedules.CosineDecay(0.0, steps - warmup, warmup_target=rate, warmup_steps=warmup)
    model.compile(keras.optimizers.Adam(schedule, global_clipnorm=1.0), jit_compile=False)
    started = time.time()
    model.fit(codes.training_batches(batch_size, seed), steps_per_epoch=steps, epochs=1, shuffle=False, verbose=0)
    return time.time() - started


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--export", type=Path, required=True, help="version folder of an image export with a prior")
    parser.add_argument("--data_dir", help="where TFDS data lies")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--batch_size", type=int, default=64)
    parser.add_argument("--learning_rate", type=float, default=2e-3, help="of the PixelCNN, at its peak")
    parser.add_argument("--transformer_learning_rate", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    try:
        told = json.loads((arguments.export / "assets.extra/vq_vae_tf.json").read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"--export={arguments.export} holds no export ({error}); give exports/cifar10/1.") from error
    config = SimpleNamespace(**told["config"])
    codes = encoded(arguments.export, told, arguments.data_dir)
    manifest, steps = codes.manifest, 5 if arguments.quick else arguments.steps
    units, layers = config.prior_units, config.prior_layers
    keras.utils.set_random_seed(arguments.seed)
    pixelcnn = prior("pixelcnn", manifest, config, units, layers)
    width = matched_transformer(pixelcnn.count_params(), manifest, config, layers)
    keras.utils.set_random_seed(arguments.seed)
    transformer = prior("transformer", manifest, config, width, layers)
    rates = (arguments.learning_rate, arguments.transformer_learning_rate)
    print(f"{steps} steps of {arguments.batch_size} code maps {manifest.code_shape}, seed {arguments.seed}")
    print("| prior | parameters | learning rate | bits per code, test | seconds of training |")
    print("|---|---|---|---|---|")
    for name, model, rate in (("gated PixelCNN", pixelcnn, rates[0]), ("Transformer", transformer, rates[1])):
        seconds = trained(model, codes, steps, arguments.batch_size, rate, arguments.seed)
        scores = measure_prior(model, codes, "test", 250)
        parameters = f"{model.count_params():,}"
        print(f"| {name} | {parameters} | {rate:g} | {scores.bits_per_code:.4f} | {seconds:.0f} |", flush=True)
    print(f"| unigram of the test codes | | | {scores.unigram_bits:.4f} | |")
    print(f"| uniform | | | {scores.uniform_bits:.4f} | |")


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"prior_comparison: {error}")
