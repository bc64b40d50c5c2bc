"""Phones from k-means on cepstra, 25 frames a second: what a VQ-VAE of the same rate and number of codes has to beat.

    python benchmarks/phoneme_baseline.py --data=FOLDER --test=dr8-fbcg1,dr7-madd0
    python benchmarks/phoneme_baseline.py --data=FOLDER --rotate      # every pair of one of each sex in turn

The folder is as timit_phonemes.flags wants it: SPEAKER/SENTENCE.wav with SENTENCE.phn beside each. Clusters and their
phones are learned on all speakers but those of --test, and scored on these, by the functions that score a run.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np

from vq_vae_tf.errors import UserError
from vq_vae_tf.evaluation.phonemes import CLASSES, phoneme_scores
from vq_vae_tf.modalities.audio.folder import open_folder
from vq_vae_tf.modalities.audio.logmel import LogMel
from vq_vae_tf.ops.cosine import cosine_transform
from vq_vae_tf.pipeline.phonemes import labelled

RATE, HOP, FRAMES, BINS, CEPSTRA = 16_000, 160, 4, 40, 13
ROUNDS = 30
KINDS = {"plain": (False, 0.0), "centred": (True, 0.0), "lifted": (False, 0.65), "centred and lifted": (True, 0.65)}
"""Whether the mean of the sound is subtracted, and the exponent of (1 + k) that cepstrum k is weighted with."""


def cepstra(frames, centred, lift):
    """Log-mel frames `[1, time, bins]` -> 13 cepstra every 40 ms, the mean of four frames, `[time / 4, 13]`."""
    c = np.asarray(frames, np.float32)[0] @ cosine_transform(BINS)[:CEPSTRA].T.astype(np.float32)
    c = (c - c.mean(axis=0) if centred else c) * (1.0 + np.arange(CEPSTRA, dtype=np.float32)) ** lift
    return c.reshape(-1, FRAMES, CEPSTRA).mean(axis=1)


def nearest(x, centres):
    return (x @ centres.T - 0.5 * np.square(centres).sum(1)).argmax(1)


def k_means(x, count, seed):
    """Lloyd's rounds from `count` points of x; a cluster that lost its points begins again at another."""
    rng = np.random.default_rng(seed)
    centres = x[rng.choice(len(x), count, replace=False)]
    for _ in range(ROUNDS):
        member = np.eye(count, dtype=np.float32)[nearest(x, centres)]
        size = member.sum(0)[:, None]
        centres = np.where(size > 0, member.T @ x / np.maximum(size, 1), x[rng.choice(len(x), count)])
    return centres


def read(data, split, frames, see):
    """What `see` makes of the log-mel frames of every code's time `[n, ...]`, phones `[n]` and speakers `[n]`."""
    recordings, seen = data.split(split), []

    def keep(x):
        seen.append(see(frames(x)))
        return np.zeros((1, len(seen[-1])), np.int32)

    found = labelled(recordings, data.root, data.rate, HOP * FRAMES, keep)
    if found is None or len(seen) != len(recordings.names):
        raise UserError(f"{data.root}: some recordings have no .phn or .lab file beside them; add them.")
    return np.concatenate(seen), found[1], np.repeat(recordings.labels, [len(one) for one in seen])


def every_kind(frames):
    """Cepstra of all KINDS, `[n, kinds, 13]`."""
    return np.stack([cepstra(frames, *options) for options in KINDS.values()], axis=1)


def pairs_of(names):
    """One woman and one man each, by the first letter of TIMIT's names: dr1-fvmh0 is a woman."""
    women, men = ([n for n in names if n.rpartition("-")[2][:1] == sex] for sex in "fm")
    return list(zip(women, men, strict=False))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder of speakers")
    parser.add_argument("--test", default="dr8-fbcg1,dr7-madd0", help="speakers held out")
    parser.add_argument("--without", default="", help="speakers left out altogether, to choose settings by the others")
    parser.add_argument("--rotate", action="store_true", help="hold out every pair in turn")
    parser.add_argument("--clusters", type=int, default=128)
    parser.add_argument("--seeds", type=int, default=3, help="so many starts; the mean is shown")
    arguments = parser.parse_args()
    data = open_folder(arguments.data, RATE, 40_960, f"speakers:{arguments.test}")
    frames = LogMel(RATE, HOP, BINS, centred=False)
    parts = [read(data, split, frames, every_kind) for split in ("train", "test")]
    seen, phones, speaker = (np.concatenate(each) for each in zip(*parts, strict=True))
    left_out = [data.class_names.index(name) for name in arguments.without.split(",") if name]
    asked = pairs_of([n for n in data.class_names if n not in arguments.without]) if arguments.rotate else []
    totals = {kind: [] for kind in KINDS}
    for pair in asked or [arguments.test.split(",")]:
        test = np.isin(speaker, [data.class_names.index(name) for name in pair])
        train = ~test & ~np.isin(speaker, left_out)
        for number, kind in enumerate(KINDS):
            x = seen[:, number]
            got = []
            for seed in range(arguments.seeds):
                codes = nearest(x, k_means(x[train], arguments.clusters, seed))
                both = [(codes[rows], phones[rows]) for rows in (train, test)]
                got.append(phoneme_scores(*both, arguments.clusters, CLASSES, seed))
            share, chance = (np.mean([getattr(g, n) for g in got]) for n in ("accuracy", "random_accuracy"))
            totals[kind].append(share)
            print(f"{' '.join(pair):<24} {kind:<20} {share:6.1%}   random codes {chance:5.1%}   {got[0].frames} frames")
    if asked:
        for kind, shares in totals.items():
            print(f"{'mean of the pairs':<24} {kind:<20} {np.mean(shares):6.1%}")


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"phoneme_baseline: {error}")
