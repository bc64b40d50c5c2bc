"""A trained WaveNet decoder: what its codes are worth, how fast it generates, whether the full pass would say the same.

    python benchmarks/wavenet_decoder.py --workdir=runs/fsdd_wavenet
    python benchmarks/wavenet_decoder.py --workdir=runs/fsdd_wavenet --quick     # shows that it runs

Bits are those of mu-law symbols, 8 under a uniform distribution, over the samples up to the last one of each sound:
with the right codes, with those of another sound, and with the speaker of another. What is generated is what naive
generation (a full pass for every sample) gives if and only if every symbol is the draw from the full pass's logits with
that position's noise; so every position of the sounds generated is checked.
"""

from __future__ import annotations

import argparse
import math
import sys

import tensorflow as tf

from sampling import seconds
from vq_vae_tf.autoregressive import sample
from vq_vae_tf.autoregressive.noise import gumbel
from vq_vae_tf.autoregressive.sampler import draw
from vq_vae_tf.errors import UserError
from vq_vae_tf.ops.mu_law import mu_law_encode
from vq_vae_tf.pipeline.loading import load_vqvae
from vq_vae_tf.pipeline.run import open_run

SEED = 1


def sample_bits(vqvae, x, codes, label):
    """-log2 p of every sample, `[batch, time]`."""
    network = vqvae.likelihood.network
    symbols = mu_law_encode(x, network.num_symbols)
    return network.nats(symbols, {"map": vqvae.decode_params(codes, {"label": label})}, False) / math.log(2.0)


def show_bits(vqvae, batches):
    """One line for each kind of codes; those of another sound are half a batch away."""
    encode = tf.function(vqvae.encode, reduce_retracing=True, autograph=False)
    bits = tf.function(lambda *given: sample_bits(vqvae, *given), reduce_retracing=True, autograph=False)
    total, count = {}, 0.0
    for batch in batches:
        x, label = batch["x"], batch["label"]
        codes = encode(batch)
        past_end = tf.reverse(tf.cumsum(tf.reverse(tf.cast(x != 0, tf.float32), [1]), axis=1), [1]) == 0
        heard = tf.cast(~past_end, tf.float32)
        count += float(tf.reduce_sum(heard))
        kinds = {
            "right codes, right speaker": (codes, label),
            "codes of another sound": (tf.roll(codes, len(codes) // 2, 0), label),
            "speaker of another sound": (codes, (label + 1) % (int(vqvae.decoder.num_speakers) or 1)),
        }
        for name, (given, speaker) in kinds.items():
            total[name] = total.get(name, 0.0) + float(tf.reduce_sum(bits(x, given, speaker) * heard))
    for name, value in total.items():
        print(f"  {name:<28} {value / count:6.3f} bits a sample")
    print(f"  {'uniform':<28} {math.log2(vqvae.likelihood.network.num_symbols):6.3f} bits a sample", flush=True)


def show_generation(vqvae, batch, rate):
    """Speed of one sound at a time under XLA, and symbols that naive generation would draw otherwise."""
    network = vqvae.likelihood.network
    codes = vqvae.encode(batch)
    features = vqvae.decode_params(codes, {"label": batch["label"]})
    many = len(codes)

    @tf.function(jit_compile=True)
    def generated(features):
        return sample(network, 1, tf.constant(SEED), {"map": features})

    speed = network.num_positions / seconds(lambda: generated(features[:1]).numpy())
    print(
        f"  one sound at a time: {speed:,.0f} samples a second, {speed / rate:.2f} x real time at {rate:,} Hz, "
        f"{speed / 16_000:.2f} x at 16,000 Hz"
    )

    @tf.function
    def noises():
        return tf.map_fn(
            lambda t: gumbel(tf.constant(SEED), t, 1, network.num_symbols)[0],
            tf.range(network.num_positions),
            fn_output_signature=tf.float32,
        )

    different, near, noise = 0, 0, noises()
    for i in range(many):
        drawn = generated(features[i : i + 1])
        logits = network(drawn, {"map": features[i : i + 1]}, training=False)[0]
        naive = draw(logits, noise)
        wrong = tf.where(naive != drawn[0])[:, 0]
        different += len(wrong)
        scores = tf.sort(tf.gather(logits + noise, wrong), axis=-1, direction="DESCENDING")
        near += int(tf.reduce_sum(tf.cast(scores[:, 0] - scores[:, 1] < 1e-3, tf.int32)))
    print(
        f"  symbols that naive generation draws otherwise: {different} of {many * network.num_positions}, ties "
        f"among them within 0.001 nats: {near}",
        flush=True,
    )


def main() -> None:
    """Prints bits, speed and equality."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workdir", required=True, help="a trained run with --audio_decoder=wavenet")
    parser.add_argument("--split", default="test", choices=("test", "validation"))
    parser.add_argument("--sounds", type=int, default=4, help="that are generated and checked")
    parser.add_argument("--quick", action="store_true", help="two sounds, one of them generated")
    chosen = parser.parse_args()
    run = open_run(chosen.workdir)
    if run.config.data.modality != "audio" or run.config.audio.audio_decoder != "wavenet":
        raise UserError(f"--workdir={chosen.workdir} has no WaveNet decoder; give a run with --audio_decoder=wavenet.")
    vqvae, _ = load_vqvae(run)
    network, data = vqvae.likelihood.network, run.data
    print(
        f"{network.num_layers} layers x {network.features}, {network.num_symbols} symbols, windows of {data.window} "
        f"samples, {network.count_params():,} parameters of {vqvae.count_params():,}; {chosen.split} split"
    )
    batches = data.examples(chosen.split, 2 if chosen.quick else 50)
    show_bits(vqvae, batches.take(1) if chosen.quick else batches)
    first = next(iter(data.examples(chosen.split, 1 if chosen.quick else chosen.sounds)))
    show_generation(vqvae, first, data.rate)


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"wavenet_decoder: {error}")
