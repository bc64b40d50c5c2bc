"""The exported signatures beside the model they came from, as ratios of one run.

    python benchmarks/serving.py [--rounds=15] [--batch=64] [--prior]
    python benchmarks/serving.py --quick      # tiny sizes: shows that it runs, times mean nothing

Sonnet's CIFAR model (128 units, K=512, D=64) with random weights on 32x32x3 noise. The model in hand is compiled by
`tf.function`, the export is loaded by `tf.saved_model.load`; they take turns call by call, so that whatever else the
machine does falls on both, and the median of the rounds counts. `--prior` adds `sample` and `log_prob`.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from vq_vae_tf.autoregressive import GatedPixelCNN
from vq_vae_tf.modalities.image.decoder import ImageDecoder
from vq_vae_tf.modalities.image.encoder import ImageEncoder
from vq_vae_tf.modalities.image.likelihood import Gaussian
from vq_vae_tf.prior import Prior
from vq_vae_tf.quantizers import VectorQuantizer
from vq_vae_tf.serving.export import export_image_model
from vq_vae_tf.vqvae import VQVAE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--prior", action="store_true")
    parser.add_argument("--quick", action="store_true")
    chosen = parser.parse_args()
    units, chosen.rounds = (8, 2) if chosen.quick else (128, chosen.rounds)
    keras.utils.set_random_seed(0)
    vqvae = VQVAE(ImageEncoder(64, units), VectorQuantizer(512, 64), ImageDecoder(3, units), Gaussian())
    vqvae.build((None, 32, 32, 3))
    prior = Prior(GatedPixelCNN(512, (8, 8), features=units // 2, num_layers=8)) if chosen.prior else None
    images = np.random.default_rng(0).integers(0, 256, (chosen.batch, 32, 32, 3), dtype=np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        path = export_image_model(vqvae, prior, folder, "benchmark", images=images)
        size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        print(f"export: {size / 1e6:.1f} MB")
        loaded = tf.saved_model.load(str(path))
        for name, (ours, theirs) in contenders(vqvae, prior, loaded, tf.constant(images)).items():
            report(name, *alternate(ours, theirs, chosen.rounds))


def contenders(vqvae, prior, loaded, images) -> dict[str, tuple[Callable, Callable]]:
    """Name -> the same work by the model in hand and by the export."""
    ask = loaded.signatures
    in_hand = {name: tf.function(getattr(vqvae, name), autograph=False) for name in ("encode", "decode", "reconstruct")}
    codes = in_hand["encode"](images)
    pairs = {
        "encode": (lambda: in_hand["encode"](images), lambda: ask["encode"](image=images)["codes"]),
        "decode": (lambda: in_hand["decode"](codes), lambda: ask["decode"](codes=codes)["image"]),
        "reconstruct": (lambda: in_hand["reconstruct"](images), lambda: ask["reconstruct"](image=images)["image"]),
    }
    if prior is not None:
        label, seed, one = tf.zeros(len(images), tf.int32), tf.constant(1), tf.constant(1.0)
        score = tf.function(prior.log_prob, autograph=False)
        draw = tf.function(lambda: prior.sample(len(images), seed), autograph=False, jit_compile=True)
        pairs["log_prob"] = (lambda: score(codes), lambda: ask["log_prob"](codes=codes)["log_prob"])
        pairs["sample and decode"] = (
            lambda: in_hand["decode"](draw()),
            lambda: ask["sample"](seed=seed, label=label, temperature=one)["image"],
        )
    return pairs


def alternate(ours: Callable, theirs: Callable, rounds: int) -> tuple[float, float, float]:
    """Median milliseconds of either, and the median of the ratios of neighbouring calls."""
    for warm in (ours, theirs):
        warm().numpy()
    times = [(clock(ours), clock(theirs)) for _ in range(rounds)]
    return (
        statistics.median(a for a, _ in times),
        statistics.median(b for _, b in times),
        statistics.median(b / a for a, b in times),
    )


def clock(function: Callable) -> float:
    start = time.perf_counter()
    function().numpy()
    return 1e3 * (time.perf_counter() - start)


def report(name: str, ours: float, theirs: float, ratio: float) -> None:
    print(f"{name:18} model in hand {ours:8.1f} ms   export {theirs:8.1f} ms   ratio {ratio:.3f}")


if __name__ == "__main__":
    main()
