"""What a network that is told the phones makes of the sample of TIMIT: how much any code without labels can hope for.

    python benchmarks/phoneme_ceiling.py --data=FOLDER [--without=dr8-fbcg1,dr7-madd0]

Every pair of one woman and one man is held out in turn. A network of two hidden layers sees 20 cepstra of 16 frames,
160 ms around each 40 ms, and is trained with the labels of all other speakers; shown are how often it is right, and
how often 128 clusters of its outputs are, each standing for the phone that it falls on most, as codes do.
"""

from __future__ import annotations

import argparse
import sys

import keras
import numpy as np

from phoneme_baseline import FRAMES, HOP, RATE, k_means, nearest, pairs_of, read
from vq_vae_tf.errors import UserError
from vq_vae_tf.evaluation.phonemes import CLASSES, UNLABELLED, phoneme_scores
from vq_vae_tf.modalities.audio.folder import open_folder
from vq_vae_tf.modalities.audio.logmel import LogMel
from vq_vae_tf.ops.cosine import cosine_transform

BINS, CEPSTRA, AROUND, CLUSTERS = 40, 20, 6, 128


def windows(frames):
    """Log-mel frames `[1, time, bins]` -> cepstra of a code's frames and AROUND more on either side."""
    c = np.asarray(frames, np.float32)[0] @ cosine_transform(BINS)[:CEPSTRA].T.astype(np.float32)
    c = c[: len(c) // FRAMES * FRAMES]
    at = np.arange(0, len(c), FRAMES)[:, None] + np.arange(-AROUND, FRAMES + AROUND)
    return c[np.clip(at, 0, len(c) - 1)]


def told(x, phones, train):
    """Logits of all rows, of a network trained on the labelled ones of `train`."""
    keras.utils.set_random_seed(0)
    hidden = [layer for _ in range(2) for layer in (keras.layers.Dense(256, "relu"), keras.layers.Dropout(0.4))]
    network = keras.Sequential([keras.layers.GaussianNoise(0.3), *hidden, keras.layers.Dense(len(CLASSES))])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(keras.optimizers.AdamW(1e-3, weight_decay=1e-2), loss)
    rows = train & (phones != UNLABELLED)
    network.fit(x[rows], phones[rows], batch_size=128, epochs=15, verbose=0)
    return network.predict(x, batch_size=1024, verbose=0)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder of speakers")
    parser.add_argument("--without", default="dr8-fbcg1,dr7-madd0", help="speakers left out altogether")
    arguments = parser.parse_args()
    left_out = arguments.without.split(",")
    data = open_folder(arguments.data, RATE, 40_960, f"speakers:{arguments.without}")
    x, phones, speaker = read(data, "train", LogMel(RATE, HOP, BINS, centred=False), windows)
    x = ((x - x.mean((0, 1))) / x.std((0, 1))).reshape(len(x), -1)
    shares = []
    for pair in pairs_of([name for name in data.class_names if name not in left_out]):
        test = np.isin(speaker, [data.class_names.index(name) for name in pair])
        logits = told(x, phones, ~test)
        known = test & (phones != UNLABELLED)
        codes = nearest(logits, k_means(logits[~test], CLUSTERS, 0))
        both = [(codes[rows], phones[rows]) for rows in (~test, test)]
        right = float((logits.argmax(1) == phones)[known].mean())
        shares.append((right, phoneme_scores(*both, CLUSTERS, CLASSES, 0).accuracy))
        show(" ".join(pair), *shares[-1])
    show("mean of the pairs", *np.mean(shares, axis=0))


def show(name, right, clusters):
    print(f"{name:<24} told the phones {right:6.1%}   128 clusters of that {clusters:6.1%}", flush=True)


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"phoneme_ceiling: {error}")
