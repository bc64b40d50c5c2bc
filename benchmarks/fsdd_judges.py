"""What survives the codes? Two classifiers of real speech name the digit and the speaker of what a run gives back.

    python benchmarks/fsdd_judges.py --workdir=runs/fsdd
    python benchmarks/fsdd_judges.py --workdir=runs/fsdd --split=validation    # to choose by
    python benchmarks/fsdd_judges.py --workdir=runs/fsdd --quick               # shows that it runs

The run's data are recordings SPEAKER/DIGIT_TAKE.wav, as in the Free Spoken Digit Dataset. The judges hear real training
recordings only, and are scored on real held-out ones first: that is what anything made can reach at most. Then they
hear every held-out recording decoded in its own voice, and in each of the others: all ordered pairs of speakers.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from vq_vae_tf.errors import UserError
from vq_vae_tf.modalities.audio.logmel import LogMel
from vq_vae_tf.pipeline.loading import load_vqvae
from vq_vae_tf.pipeline.run import open_run
from vq_vae_tf.pipeline.speaking import decoder

BATCH = 50
SECONDS = 0.8
FRAMES_PER_SECOND = 100


@dataclass
class Speech:
    """Recordings filled up with silence, or cut, to one length: x float32 `[n, time]`, the true lengths, the labels."""

    x: np.ndarray
    lengths: np.ndarray
    speaker: np.ndarray
    digit: np.ndarray


def speech(recordings, time_):
    """The recordings of a split."""
    sounds = [recordings.sound(i)[:time_] for i in range(len(recordings.names))]
    x = np.stack([np.pad(sound, (0, time_ - len(sound))) for sound in sounds])
    stems = [name.rpartition("/")[2] for name in recordings.names]
    if wrong := [stem for stem in stems if not stem[:1].isdigit()]:
        raise UserError(f"{wrong[0]} does not begin with a digit; expected recordings named DIGIT_TAKE.wav.")
    return Speech(x, np.array([len(s) for s in sounds]), recordings.labels, np.array([int(stem[0]) for stem in stems]))


def judge(rate, time_, classes):
    """Log-mel frames and convolutions over time. Heard in training: other loudness, other beginnings, some hiss."""
    hop = rate // FRAMES_PER_SECOND
    inputs = keras.layers.Input((time_,))
    h = LogMel(rate, hop, centred=False, dtype="float32")(inputs)
    h = keras.layers.Rescaling(0.3, 1.5)(h)
    for units in (64, 96, 128):
        h = keras.layers.Conv1D(units, 5, padding="same", use_bias=False)(h)
        h = keras.layers.ReLU()(keras.layers.BatchNormalization()(h))
        h = keras.layers.MaxPooling1D(2)(h)
    ends = keras.layers.GlobalAveragePooling1D()(h), keras.layers.GlobalMaxPooling1D()(h)
    h = keras.layers.Dropout(0.3)(keras.layers.Concatenate()(ends))
    return keras.Model(inputs, keras.layers.Dense(classes)(h))


def trained_judge(train, labels, rate, classes, epochs, seed):
    """Adam, one cosine from 2e-3 to zero."""
    keras.utils.set_random_seed(seed)
    model = judge(rate, train.x.shape[1], classes)
    steps = epochs * (len(labels) // BATCH)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(2e-3, steps)), loss)

    def varied(x, label):
        rows, wide = tf.shape(x)[0], tf.shape(x)[1]
        gain = tf.exp(tf.random.uniform((rows, 1), -1.5, 0.5))
        hiss = tf.random.normal(tf.shape(x)) * tf.exp(tf.random.uniform((rows, 1), -9.0, -5.0))
        begin = tf.random.uniform((), 0, wide // 4, tf.int32)
        return tf.pad(x * gain, [[0, 0], [begin, 0]])[:, :wide] + hiss, label

    pairs = tf.data.Dataset.from_tensor_slices((train.x, labels)).shuffle(len(labels), seed=seed).repeat()
    pairs = pairs.batch(BATCH, drop_remainder=True).map(varied)
    model.fit(pairs, steps_per_epoch=steps, epochs=1, shuffle=False, verbose=0)
    return model


def judges_of(folder, train, rate, names, epochs, seed):
    """The judge of speakers and the judge of digits: those that lie in the folder, else trained, and left there."""
    both = []
    for i, (what, labels, classes) in enumerate([("speaker", train.speaker, len(names)), ("digit", train.digit, 10)]):
        path = Path(folder) / f"{what}-seed{seed}-epochs{epochs}-of{len(labels)}.keras" if folder else None
        if path is not None and path.is_file():
            both.append(keras.models.load_model(path))
            continue
        both.append(trained_judge(train, labels, rate, classes, epochs, seed + i))
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            both[-1].save(path)
    return both


def made(vqvae, window, given, speaker):
    """Every recording in the voice of `speaker`, int32 `[n]`; silent beyond its length, as bin/convert has it."""
    wide, hop = given.x.shape[1], vqvae.encoder.hop
    piece = window if hasattr(vqvae.likelihood, "network") else -(-wide // hop) * hop
    x = np.pad(given.x, [(0, 0), (0, -wide % piece)]).reshape(len(given.x), -1, piece)
    decode, encode = decoder(vqvae), tf.function(vqvae.encode, autograph=False, reduce_retracing=True)
    out = np.empty_like(x)
    for first in range(0, len(x), BATCH):
        rows = slice(first, first + BATCH)
        for i in range(x.shape[1]):
            label = tf.constant(speaker[rows], tf.int32)
            out[rows, i] = decode(encode(tf.constant(x[rows, i])), label).numpy()
    sounds = out.reshape(len(x), -1)[:, :wide]
    return np.where(np.arange(wide) < given.lengths[:, None], sounds, 0.0)


def right(model, x, label):
    """What the judge names rightly, bool `[n]`."""
    return model.predict(x, batch_size=BATCH, verbose=0).argmax(-1) == label


def show(what, speaker, digit):
    print(f"{what:<34} speaker {speaker.mean():6.1%}   digit {digit.mean():6.1%}   of {len(speaker)}", flush=True)


def show_pairs(names, source, target, share, what):
    """A table of ordered pairs: from the speaker of the row into the voice of the column."""
    print(f"{what}, from (row) into the voice of (column):")
    print(" " * 12 + "".join(f"{name[:8]:>9}" for name in names))
    for i, name in enumerate(names):
        cells = [share[(source == i) & (target == j)] for j in range(len(names))]
        print(f"{name:<12}" + "".join(f"{c.mean():>9.0%}" if len(c) else f"{'':>9}" for c in cells))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workdir", required=True, help="a run on recordings SPEAKER/DIGIT_TAKE.wav")
    parser.add_argument("--split", default="test", choices=("test", "validation"), help="what is decoded and judged")
    parser.add_argument("--epochs", type=int, default=12, help="of each judge")
    parser.add_argument("--judges", default="", help="a folder that keeps them for the next call")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    run = open_run(arguments.workdir)
    if run.config.data.modality != "audio":
        raise UserError(f"--workdir={arguments.workdir} is a run of {run.config.data.modality}; give one of audio.")
    data = run.data
    names, time_ = data.class_names, int(SECONDS * data.rate)
    train, held = (speech(data.split(split), time_) for split in ("train", arguments.split))
    started = time.time()
    epochs = 1 if arguments.quick else arguments.epochs
    judges = judges_of(arguments.judges, train, data.rate, names, epochs, arguments.seed)
    print(
        f"judges: {judges[0].count_params():,} parameters each, {len(train.x)} recordings, {epochs} epochs, "
        f"{time.time() - started:.0f} s, seed {arguments.seed}"
    )

    def judged(x, speaker, digit):
        return [right(model, x, label) for model, label in zip(judges, (speaker, digit), strict=True)]

    show(f"real speech, {arguments.split} split", *judged(held.x, held.speaker, held.digit))
    vqvae, _ = load_vqvae(run)
    show("in its own voice", *judged(made(vqvae, data.window, held, held.speaker), held.speaker, held.digit))
    source = np.tile(held.speaker, len(names))
    target = np.repeat(np.arange(len(names)), len(held.x)).astype(np.int32)
    many = len(names)
    everyone = Speech(np.tile(held.x, (many, 1)), np.tile(held.lengths, many), source, np.tile(held.digit, many))
    speaker, digit = judged(made(vqvae, data.window, everyone, target), target, everyone.digit)
    other = source != target
    show("in every other voice", speaker[other], digit[other])
    pairs = [(i, j) for i in range(len(names)) for j in range(len(names)) if i != j]
    for what, share in (("target speaker named", speaker), ("digit kept", digit)):
        show_pairs(names, source[other], target[other], share[other], what)
        of_pair = [share[(source == i) & (target == j)].mean() for i, j in pairs]
        print(
            f"   worst pair {min(of_pair):.0%}; at least 80 %: {sum(s >= 0.8 for s in of_pair)} of {len(pairs)} pairs"
        )


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"fsdd_judges: {error}")
