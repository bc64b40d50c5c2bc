"""Bits/dim of a data set from an exported SavedModel alone, by its signature `elbo`: what evaluation says, once more.

    python benchmarks/exported_bits.py exports/cifar_bits_best/1 --dataset=cifar10 [--data_dir=FOLDER]

By `drawn_elbo`, codes drawn, where the export has that.

Only the images come through this package.
"""

from __future__ import annotations

import argparse
import math
from typing import Any

import numpy as np
import tensorflow as tf

from vq_vae_tf.modalities.image.data import open_image_data


def exported_bits(model: str, batches: tf.data.Dataset) -> dict[str, tuple[float, float, int]]:
    """Name of the bound -> (bits/dim, those of them that the codes cost, images), uniform prior."""
    signatures = tf.saved_model.load(model).signatures
    bounds: dict[str, Any] = {"the nearest codes": lambda image, seed: signatures["elbo"](image=image)}
    if "drawn_elbo" in signatures:
        bounds["drawn codes"] = lambda image, seed: signatures["drawn_elbo"](image=image, seed=seed)
    return {name: _bits(bound, batches) for name, bound in bounds.items()}


def _bits(bound: Any, batches: tf.data.Dataset) -> tuple[float, float, int]:
    distortion, rate, dims = [], [], 1
    for seed, batch in enumerate(batches):
        terms = bound(batch["x"], tf.constant(seed))
        distortion.append(terms["distortion"].numpy().astype(np.float64))
        rate.append(terms["rate"].numpy().astype(np.float64))
        dims = math.prod(batch["x"].shape[1:])
    scale = 1.0 / (dims * math.log(2.0))
    nats, codes = np.concatenate(distortion), np.concatenate(rate)
    return float((nats + codes).mean() * scale), float(codes.mean() * scale), len(nats)


def main() -> None:
    """Prints a line a bound."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="the version folder of an export")
    parser.add_argument("--dataset", default="cifar10")
    parser.add_argument("--data_dir", default="")
    parser.add_argument("--image_size", type=int, default=0)
    parser.add_argument("--split", default="test")
    parser.add_argument("--batch_size", type=int, default=250)
    flags = parser.parse_args()
    data = open_image_data(flags.dataset, flags.data_dir or None, flags.image_size)
    for name, found in exported_bits(flags.model, data.examples(flags.split, flags.batch_size)).items():
        bits, codes, images = found
        print(f"{name}: {bits:.4f} bits/dim over {images} images of {flags.split}, {codes:.4f} of them rate")


if __name__ == "__main__":
    main()
