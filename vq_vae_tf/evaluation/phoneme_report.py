"""What a page and evaluation.json say about phones."""

from __future__ import annotations

from vq_vae_tf.evaluation import plots
from vq_vae_tf.evaluation.phonemes import PhonemeScores
from vq_vae_tf.evaluation.report import Row, Section, Table
from vq_vae_tf.evaluation.sections import themed

TEXT = (
    "Every code stands for the phone that it falls on most often in the training recordings; here are the frames of "
    "{split}, each with the phone that takes most of it."
)


def phoneme_numbers(scores: PhonemeScores) -> dict[str, float | int]:
    """The figures for evaluation.json."""
    names = ("accuracy", "random_accuracy", "most_common", "information_bits", "entropy_bits", "frames")
    return {**{name: getattr(scores, name) for name in names}, "classes": len(scores.classes)}


def phoneme_section(scores: PhonemeScores, split: str = "the scored split") -> Section:
    """Accuracy beside chance, and which phone is taken for which."""
    rows = [
        Row("accuracy", [100.0 * scores.accuracy], "%", "Share of frames whose code stands for their phone.", 1),
        Row("random codes", [100.0 * scores.random_accuracy], "%", "The same with codes drawn at random.", 1),
        Row("most frequent phone", [100.0 * scores.most_common], "%", "What a single code would score.", 1),
        Row("information", [scores.information_bits], "bits", "Mutual information of code and phone.", 2),
        Row("entropy of phones", [scores.entropy_bits], "bits", "The most that it could be.", 2),
        Row("frames", [scores.frames]),
    ]
    picture = themed(
        lambda theme: plots.confusion(scores.confusion, scores.classes, theme),
        "confusion of phones",
        "Rows are true phones, columns what their codes stand for.",
    )
    return Section("Phones", [Table(["codes"], rows), picture], TEXT.format(split=split))
