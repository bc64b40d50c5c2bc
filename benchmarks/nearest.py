"""The nearest code beside the matrix product alone and the textbook expression, as ratios of one run.

    python benchmarks/nearest.py [--rounds=9] [--threads=2]

Contenders take turns within each round; medians count. "product" is z E^T and nothing else, the floor. "textbook" is
argmin |x|^2 - 2 x.e + |e|^2 and a one-hot product for the lookup. Memory is what the search holds beyond its inputs.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time

SIZES = ((2_048, 64, 512), (65_536, 64, 512), (16_384, 64, 8_192), (1_024, 64, 262_144))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rounds", type=int, default=9)
    arguments.add_argument("--threads", type=int, default=2)
    chosen = arguments.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(chosen.threads)
    print(f"{'n':>7s}{'dim':>5s}{'codes':>9s}{'product':>12s}{'nearest':>12s}{'textbook':>12s}   ratio to the product")
    for n, dim, codes in SIZES:
        medians = measure(contenders(n, dim, codes), chosen.rounds)
        ratios = ", ".join(f"{name} {value / medians['product']:.2f}" for name, value in medians.items())
        columns = "".join(f"{medians[name]:9.1f} ms" if name in medians else " " * 12 for name in NAMES)
        print(f"{n:7d}{dim:5d}{codes:9d}{columns}   {ratios}", flush=True)


NAMES = ("product", "nearest", "textbook")


def contenders(n: int, dim: int, codes: int) -> dict:
    import tensorflow as tf

    from vq_vae_tf.ops.nearest import nearest_code

    z, codebook = tf.random.normal((n, dim)), tf.random.normal((codes, dim))

    def product(z):
        return tf.matmul(z, codebook, transpose_b=True)

    def nearest(z):
        return tf.gather(codebook, nearest_code(z, codebook))

    def textbook(z):
        distances = tf.reduce_sum(z * z, 1, keepdims=True) - 2.0 * product(z) + tf.reduce_sum(codebook * codebook, 1)
        return tf.matmul(tf.one_hot(tf.argmin(distances, 1), codes), codebook)

    chosen = {"product": product, "nearest": nearest}
    if n * codes < 1 << 28:
        chosen["textbook"] = textbook
    # A compiled function returns a scalar, so that no contender is charged for handing over its result.
    compiled = {name: tf.function(lambda z, f=f: tf.reduce_sum(f(z)[:1])) for name, f in chosen.items()}
    return {name: (lambda f=f: f(z).numpy()) for name, f in compiled.items()}


def measure(chosen: dict, rounds: int) -> dict[str, float]:
    """Median milliseconds of each contender."""
    times: dict[str, list[float]] = {name: [] for name in chosen}
    for round_ in range(rounds + 2):
        for name, run in chosen.items():
            start = time.perf_counter()
            run()
            if round_ >= 2:
                times[name].append(1e3 * (time.perf_counter() - start))
    return {name: statistics.median(values) for name, values in times.items()}


if __name__ == "__main__":
    main()
