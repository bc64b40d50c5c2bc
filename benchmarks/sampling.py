"""How fast the cached sampler is, beside one full pass a symbol, in one run on one machine.

    python benchmarks/sampling.py              # the sizes that RESULTS.md reports; some minutes on 2 cores
    python benchmarks/sampling.py --quick      # tiny sizes: shows that it runs, times mean nothing

Naive sampling is timed on a few positions, all of which cost the same, and scaled to the whole grid. That both samplers
draw the same is checked at full size: a sample is what naive sampling gives if and only if every symbol is the draw
from the full pass's logits with that position's noise.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import tensorflow as tf
from keras import ops

from vq_vae_tf.autoregressive import GatedPixelCNN, WaveNet, sample
from vq_vae_tf.autoregressive.noise import gumbel
from vq_vae_tf.autoregressive.sampler import draw

SEED = 1
REPEATS = 3


def seconds(function: Callable, repeats: int = REPEATS) -> float:
    """Median wall time after one call that compiles."""
    function()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def sampler(network, batch_size, xla, condition=None):
    compiled = tf.function(lambda seed: sample(network, batch_size, seed, condition), jit_compile=xla)
    return lambda: compiled(tf.constant(SEED)).numpy()


def differing_symbols(network, symbols):
    """How many symbols naive sampling would draw otherwise, given the ones before."""

    @tf.function
    def redraw(logits, position):
        return draw(logits, gumbel(tf.constant(SEED), position, len(symbols), network.num_symbols))

    logits = ops.reshape(network(symbols), (len(symbols), network.num_positions, network.num_symbols))
    flat = symbols.reshape(len(symbols), -1)
    naive = [redraw(logits[:, t], tf.constant(t)).numpy() for t in range(network.num_positions)]
    return sum(int((drawn != flat[:, t]).sum()) for t, drawn in enumerate(naive))


def naive_position(network, batch_size):
    """One position of naive sampling: a full pass and a draw."""

    @tf.function
    def position(symbols, t):
        logits = ops.reshape(network(symbols, training=False), (batch_size, network.num_positions, -1))
        return draw(tf.gather(logits, t, axis=1), gumbel(tf.constant(SEED), t, batch_size, network.num_symbols))

    symbols = tf.zeros((batch_size, *network.symbol_shape), tf.int32)
    return lambda: position(symbols, tf.constant(network.num_positions // 2)).numpy()


def pixelcnn(side, batch_size, layers, features):
    network = GatedPixelCNN(256, (side, side), num_layers=layers, features=features)
    network.build()
    print(f"Gated PixelCNN, {side}x{side}, batch {batch_size}, {layers} layers x {features}, 256 symbols")
    symbols = sampler(network, batch_size, xla=True)()
    naive = seconds(naive_position(network, batch_size)) * network.num_positions
    print(f"  naive                {naive:9.2f} s   (one of {network.num_positions} positions timed, scaled)")
    for xla in (False, True):
        cached = seconds(sampler(network, batch_size, xla))
        print(f"  cached, {'XLA' if xla else 'graph':5}        {cached:9.2f} s   {naive / cached:8.1f} x naive")
    print(f"  symbols that naive draws otherwise: {differing_symbols(network, symbols)} of {symbols.size}")


def wavenet(length, layers, features, hop=0):
    """hop: steps that share a vector of a map of codes as wide as the network; 0: no map."""
    sizes = {"condition_features": features, "condition_stride": hop} if hop else {}
    network = WaveNet(256, (length,), num_layers=layers, features=features, dilation_cycle=10, **sizes)
    network.build()
    condition = {"map": tf.random.normal((1, length // hop, features), seed=SEED)} if hop else None
    heard = f"codes of {hop} steps" if hop else "no codes"
    print(f"WaveNet, {layers} layers x {features}, {heard}, 256 symbols, batch 1, {length} steps")
    for xla in (True, False):
        rate = length / seconds(sampler(network, 1, xla, condition))
        mode = "XLA" if xla else "graph"
        print(f"  cached, {mode:5}        {rate:9.0f} steps/s   {rate / 16_000:6.2f} x real time at 16 kHz", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="tiny sizes")
    parser.add_argument("--only", choices=["pixelcnn", "wavenet"], help="of the two")
    chosen = parser.parse_args()
    if chosen.only != "wavenet":
        pixelcnn(*((6, 2, 2, 8) if chosen.quick else (32, 16, 10, 64)))
    if chosen.only != "pixelcnn":
        wavenet(*((40, 3, 8) if chosen.quick else (16_000, 20, 64)))
        wavenet(*((40, 3, 8, 4) if chosen.quick else (16_000, 10, 64, 64)))  # the decoder of fsdd_wavenet.flags


if __name__ == "__main__":
    main()
