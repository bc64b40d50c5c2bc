"""What codes say about phones: each code stands for the phone that it fell on most often."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vq_vae_tf.errors import UserError

_GROUPS = (
    "aa ao",
    "ah ax ax-h",
    "er axr",
    "hh hv",
    "ih ix",
    "l el",
    "m em",
    "n en nx",
    "ng eng",
    "sh zh",
    "uw ux",
    "sil h# pau epi sp pcl tcl kcl bcl dcl gcl",
)
_ALONE = "ae aw ay b ch d dh dx eh ey f g iy jh k ow oy p r s t th uh v w y z"
FOLDED = {phone: group.split()[0] for group in _GROUPS for phone in group.split()} | {p: p for p in _ALONE.split()}
"""TIMIT phone -> one of 39 classes (Lee & Hon 1989, table 3); `q`, the glottal stop, belongs to none."""
CLASSES = tuple(sorted(set(FOLDED.values())))
UNLABELLED = -1


@dataclass(frozen=True)
class PhonemeScores:
    """How well codes tell phones, on speakers that the map from codes to phones was not learned on.

    accuracy: share of frames whose code stands for their phone. random_accuracy: the same with codes drawn at random.
    most_common: share of the most frequent phone: what a single code would score. information_bits: mutual information
    of code and phone on the scored frames; entropy_bits: of the phone, the most that it could be. frames: scored ones.
    confusion: int64 `[classes, classes]`, true phone by the phone that its code stands for, in the order of `classes`.
    """

    accuracy: float
    random_accuracy: float
    most_common: float
    information_bits: float
    entropy_bits: float
    frames: int
    classes: tuple[str, ...]
    confusion: np.ndarray


def folded(phone: str) -> str:
    """The class of a phone: TIMIT's folded to 39; of other alphabets as it is, without stress marks; "" for none."""
    name = phone.strip().lower().rstrip("0123456789")
    return "" if name == "q" else FOLDED.get(name, name)


def frame_phones(segments: Sequence[tuple[int, int, str]], frames: int, hop: int) -> list[str]:
    """The folded phone that takes most of each frame, "" where none is labelled.

    segments: (begin, end, phone) in samples, in order. Frame i lasts from sample i hop to (i + 1) hop.
    """
    shares: list[dict[str, int]] = [{} for _ in range(frames)]
    for begin, end, phone in segments:
        name = folded(phone)
        for i in range(max(begin // hop, 0), min(frames, -(-end // hop))):
            shares[i][name] = shares[i].get(name, 0) + min(end, (i + 1) * hop) - max(begin, i * hop)
    return [max(share, key=share.__getitem__) if share else "" for share in shares]


def class_numbers(phones: Sequence[str], classes: Sequence[str]) -> np.ndarray:
    """int32 index of each phone among `classes`, UNLABELLED where it has none."""
    place: Mapping[str, int] = {name: i for i, name in enumerate(classes)}
    return np.array([place.get(phone, UNLABELLED) for phone in phones], np.int32)


def majority_phones(codes: np.ndarray, phones: np.ndarray, num_codes: int, num_classes: int) -> np.ndarray:
    """int64 `[num_codes]`: the phone that each code fell on most often; a code never seen: the most frequent phone."""
    counts = co_occurrence(codes, phones, num_codes, num_classes)
    best = counts.argmax(axis=1)
    best[counts.sum(axis=1) == 0] = counts.sum(axis=0).argmax()
    return best


def co_occurrence(codes: np.ndarray, phones: np.ndarray, num_codes: int, num_classes: int) -> np.ndarray:
    """int64 `[num_codes, num_classes]`: how often each code fell on each phone; frames without a phone do not count."""
    counts = np.zeros((num_codes, num_classes), np.int64)
    known = phones != UNLABELLED
    np.add.at(counts, (codes[known], phones[known]), 1)
    return counts


def phoneme_scores(
    train: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
    num_codes: int,
    classes: Sequence[str] = CLASSES,
    seed: int = 0,
) -> PhonemeScores:
    """Learns code -> majority phone on `train`, scores it on `test`; both are (codes, phones), int `[frames]`.

    Paper: section 4.3. Random codes: drawn evenly, mapped and scored in the same way.

    Raises:
        UserError: no labelled frame on either side.
    """
    if not (train[1] != UNLABELLED).any() or not (test[1] != UNLABELLED).any():
        raise UserError("No labelled frame in training or test recordings; give .phn or .lab files beside the sounds.")
    rng = np.random.default_rng(seed)
    drawn = [(rng.integers(0, num_codes, len(phones)), phones) for _, phones in (train, test)]
    confusion = _confusion(train, test, num_codes, len(classes))
    random = _confusion(drawn[0], drawn[1], num_codes, len(classes))
    joint = co_occurrence(*test, num_codes, len(classes))
    share = confusion.sum(axis=1) / confusion.sum()
    return PhonemeScores(
        accuracy=float(np.trace(confusion) / confusion.sum()),
        random_accuracy=float(np.trace(random) / random.sum()),
        most_common=float(share.max()),
        information_bits=mutual_information_bits(joint),
        entropy_bits=float(-(share[share > 0] * np.log2(share[share > 0])).sum()),
        frames=int(confusion.sum()),
        classes=tuple(classes),
        confusion=confusion,
    )


def mutual_information_bits(counts: np.ndarray) -> float:
    """I(row; column) of the empirical distribution of `counts`, in bits; counted, not corrected for their number."""
    p = counts / counts.sum()
    independent = p.sum(axis=1, keepdims=True) * p.sum(axis=0, keepdims=True)
    seen = p > 0
    return float((p[seen] * np.log2(p[seen] / independent[seen])).sum())


def _confusion(
    train: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray], num_codes: int, num_classes: int
) -> np.ndarray:
    meaning = majority_phones(*train, num_codes, num_classes)
    known = test[1] != UNLABELLED
    confusion = np.zeros((num_classes, num_classes), np.int64)
    np.add.at(confusion, (test[1][known], meaning[test[0][known]]), 1)
    return confusion
