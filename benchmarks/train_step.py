"""Milliseconds a training step of Sonnet's CIFAR recipe takes, beside its peers, as ratios of one run.

    python benchmarks/train_step.py [--rounds=7] [--steps=20] [--sonnet=PYTHON] [--torch=PYTHON]

Batch 32 of 32x32x3 noise, 128 units, 2 residual blocks of 32, K=512, D=64, EMA codebook, Adam. Each contender is a
process of its own; they take turns, so that whatever else the machine does falls on all of them, and the median of
the rounds counts. `--sonnet` is the Python of an environment with TensorFlow and dm-sonnet, whose published VQ-VAE
example is then timed too, `--torch` that of one with PyTorch and vector-quantize-pytorch (channels last); the other
rows are the ways this package can take the same step. `limit` is 8.7 GFLOP at the rate of a large matrix product in
the same run.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

BATCH, GFLOP_A_STEP = 32, 8.7
OURS = ("float32", "float32, data pipeline", "bfloat16", "XLA", "Keras fit")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rounds", type=int, default=7)
    arguments.add_argument("--steps", type=int, default=20)
    arguments.add_argument("--sonnet")
    arguments.add_argument("--torch")
    arguments.add_argument("--only", action="append", default=[], choices=[*OURS, "limit"])
    arguments.add_argument("--serve", help=argparse.SUPPRESS)
    chosen = arguments.parse_args()
    if chosen.serve:
        serve(chosen.serve)
        return
    contenders = {name: sys.executable for name in chosen.only or ["limit", *OURS]}
    peers = {"dm-sonnet": chosen.sonnet, "PyTorch": chosen.torch}
    contenders |= {name: python for name, python in peers.items() if python}
    times = measure(contenders, chosen.rounds, chosen.steps)
    report(times)


def measure(contenders: dict[str, str], rounds: int, steps: int) -> dict[str, list[float]]:
    """Milliseconds a step, one number a round, contenders taking turns."""
    servers = {name: Server(python, name) for name, python in contenders.items()}
    times: dict[str, list[float]] = {name: [] for name in servers}
    for _ in range(rounds):
        for name, server in servers.items():
            times[name].append(server.ask(steps))
    for server in servers.values():
        server.close()
    return times


def report(times: dict[str, list[float]]) -> None:
    medians = {name: statistics.median(values) for name, values in times.items()}
    base = medians.get("float32", min(medians.values()))
    print(f"{'':24s}{'ms/step':>9s}{'best':>8s}{'time / float32':>16s}")
    for name, median in medians.items():
        print(f"{name:24s}{median:9.1f}{min(times[name]):8.1f}{median / base:16.2f}")


class Server:
    """A process that times steps on request."""

    def __init__(self, python: str, name: str) -> None:
        command = [python, __file__, f"--serve={name}"]
        root = str(Path(__file__).resolve().parents[1])
        environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": root}
        self._process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.ask(3)

    def ask(self, steps: int) -> float:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{steps}\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def serve(name: str) -> None:
    """Answers each number of steps on standard input with the milliseconds one of them took."""
    run = make_runner(name)
    for line in sys.stdin:
        steps = int(line)
        began = time.perf_counter()
        run(steps)
        print(1000 * (time.perf_counter() - began) / steps, flush=True)


def make_runner(name: str) -> Callable[[int], object]:
    if name == "limit":
        return limit_runner()
    if name == "dm-sonnet":
        return sonnet_runner()
    if name == "PyTorch":
        return torch_runner()
    if name == "Keras fit":
        return fit_runner()
    return our_runner(
        precision="mixed_bfloat16" if name == "bfloat16" else "float32", jit=name == "XLA", pipeline="pipeline" in name
    )


def images(number: int = BATCH):
    import numpy as np

    return np.random.default_rng(0).integers(0, 256, (number, 32, 32, 3), np.uint8)


def build_model(precision: str):
    from vq_vae_tf import build
    from vq_vae_tf.config import Config, replace

    config = replace(
        Config(),
        units=128,
        residual_units=32,
        residual_blocks=2,
        downsamplings=2,
        likelihood="gaussian",
        data_variance=0.0633,
        quantizer="vector",
        num_embeddings=512,
        embedding_dim=64,
        ema_decay=0.99,
    )
    return build.build_vqvae(config, (32, 32, 3), precision)


def our_runner(precision: str, jit: bool, pipeline: bool) -> Callable[[int], object]:
    import tensorflow as tf

    from vq_vae_tf.batches import ArrayStore, training_batches
    from vq_vae_tf.training.options import TrainingOptions
    from vq_vae_tf.training.step import TrainingState, make_run_steps

    model = build_model(precision)
    if pipeline:
        data = training_batches(ArrayStore.of({"x": images(50_000)}), BATCH, seed=0)
    else:
        data = tf.data.Dataset.from_tensors({"x": images()}).repeat()
    names = list(model.loss_terms({"x": images(1)}, training=False))
    state = TrainingState(model, TrainingOptions(batch_size=BATCH, jit=jit), names)
    run_steps = make_run_steps(state, tf.distribute.get_strategy())
    batches, first, sums = iter(data), tf.constant(0, tf.int64), tf.zeros([len(names)])
    return lambda steps: run_steps(batches, first, tf.constant(steps, tf.int64), sums)[2].numpy()


def fit_runner() -> Callable[[int], object]:
    import keras
    import tensorflow as tf

    model = build_model("float32")
    model.compile(keras.optimizers.Adam(3e-4))
    data = tf.data.Dataset.from_tensors(images()).repeat()
    return lambda steps: model.fit(data, steps_per_epoch=steps, verbose=0)


def limit_runner() -> Callable[[int], object]:
    """A large matrix product done as often as gives one step's number of operations."""
    import tensorflow as tf

    size = 1024
    repeats = max(round(GFLOP_A_STEP * 1e9 / (2 * size**3)), 1)
    a = tf.random.normal([size, size])

    @tf.function
    def products(number: tf.Tensor) -> tf.Tensor:
        total = tf.zeros([])
        for _ in tf.range(number):
            total += tf.matmul(a + total * 1e-30, a)[0, 0]
        return total

    return lambda steps: products(tf.constant(steps * repeats)).numpy()


def sonnet_runner() -> Callable[[int], object]:
    """The authors' example, sonnet/examples/vqvae_example.ipynb, compiled as it is there."""
    import sonnet as snt
    import tensorflow as tf

    class Residual(snt.Module):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = [(snt.Conv2D(32, 3), snt.Conv2D(128, 1)) for _ in range(2)]

        def __call__(self, h: tf.Tensor) -> tf.Tensor:
            for wide, narrow in self.blocks:
                h = h + narrow(tf.nn.relu(wide(tf.nn.relu(h))))
            return tf.nn.relu(h)

    relu = tf.nn.relu
    down = [snt.Conv2D(64, 4, 2), relu, snt.Conv2D(128, 4, 2), relu, snt.Conv2D(128, 3), Residual(), snt.Conv2D(64, 1)]
    up = [
        snt.Conv2D(128, 3),
        Residual(),
        snt.Conv2DTranspose(64, 4, stride=2),
        relu,
        snt.Conv2DTranspose(3, 4, stride=2),
    ]
    encoder, decoder = snt.Sequential(down), snt.Sequential(up)
    quantizer = snt.nets.VectorQuantizerEMA(64, 512, 0.25, 0.99)
    optimizer = snt.optimizers.Adam(3e-4)
    x = tf.constant(images())

    @tf.function
    def step() -> tf.Tensor:
        scaled = tf.cast(x, tf.float32) / 255.0 - 0.5
        with tf.GradientTape() as tape:
            quantized = quantizer(encoder(scaled), is_training=True)
            error = tf.reduce_mean((decoder(quantized["quantize"]) - scaled) ** 2) / 0.0633
            loss = error + quantized["loss"]
        weights = encoder.trainable_variables + decoder.trainable_variables
        optimizer.apply(tape.gradient(loss, weights), weights)
        return loss

    return lambda steps: [step() for _ in range(steps)][-1].numpy()


def torch_runner() -> Callable[[int], object]:
    """The same network in PyTorch, with the quantizer of vector-quantize-pytorch."""
    import torch
    from torch import nn
    from torch.nn import functional
    from vector_quantize_pytorch import VectorQuantize

    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            pairs = [nn.ModuleList([nn.Conv2d(128, 32, 3, padding=1), nn.Conv2d(32, 128, 1)]) for _ in range(2)]
            self.blocks = nn.ModuleList(pairs)

        def forward(self, h: torch.Tensor) -> torch.Tensor:
            for wide, narrow in self.blocks:
                h = h + narrow(functional.relu(wide(functional.relu(h))))
            return functional.relu(h)

    half = {"stride": 2, "padding": 1}
    encoder = nn.Sequential(
        nn.Conv2d(3, 64, 4, **half), nn.ReLU(), nn.Conv2d(64, 128, 4, **half), nn.ReLU(),
        nn.Conv2d(128, 128, 3, padding=1), Residual(), nn.Conv2d(128, 64, 1),
    )  # fmt: skip
    decoder = nn.Sequential(
        nn.Conv2d(64, 128, 3, padding=1), Residual(), nn.ConvTranspose2d(128, 64, 4, **half), nn.ReLU(),
        nn.ConvTranspose2d(64, 3, 4, **half),
    )  # fmt: skip
    quantizer = VectorQuantize(64, 512, decay=0.99, commitment_weight=0.25, accept_image_fmap=True)
    model = nn.ModuleList([encoder, quantizer, decoder]).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=3e-4)
    x = torch.from_numpy(images()).permute(0, 3, 1, 2).float() / 255.0 - 0.5
    x = x.contiguous(memory_format=torch.channels_last)

    def step() -> float:
        optimizer.zero_grad()
        z_q, _, commitment = model[1](encoder(x))
        loss = ((decoder(z_q) - x) ** 2).mean() / 0.0633 + commitment.sum()
        loss.backward()
        optimizer.step()
        return loss.item()

    return lambda steps: [step() for _ in range(steps)][-1]


if __name__ == "__main__":
    main()
