"""Codes against phones: the folding, the frames, the map learned on one side and scored on the other."""

from __future__ import annotations

import numpy as np
import pytest

from vq_vae_tf.errors import UserError
from vq_vae_tf.evaluation.phonemes import (
    CLASSES,
    FOLDED,
    UNLABELLED,
    class_numbers,
    folded,
    frame_phones,
    majority_phones,
    mutual_information_bits,
    phoneme_scores,
)


def test_sixty_one_timit_phones_fold_to_thirty_nine():
    assert len(CLASSES) == 39
    assert len(FOLDED) == 62  # TIMIT's 61 without q, and HTK's sil and sp
    assert [folded(p) for p in ("ix", "AX-H", "zh", "kcl", "h#", "ae1", "q")] == [
        "ih",
        "ah",
        "sh",
        "sil",
        "sil",
        "ae",
        "",
    ]


def test_a_frame_has_the_phone_that_takes_most_of_it():
    segments = [(0, 6, "h#"), (6, 10, "ix"), (10, 14, "ih"), (14, 15, "q"), (15, 18, "t")]
    # 0-7: 6 of silence; 8-15: ix and ih are one class with 6; 16-23: 2 of t; 24-31: nothing.
    assert frame_phones(segments, 4, 8) == ["sil", "ih", "t", ""]
    assert frame_phones([(0, 8, "q")], 1, 8) == [""]
    np.testing.assert_array_equal(class_numbers(["sil", "t", "", "q"], ("sil", "t")), [0, 1, UNLABELLED, UNLABELLED])


def test_what_counts_is_how_long_a_phone_lasts_inside_the_frame():
    assert frame_phones([(0, 1, "t"), (1, 8, "s")], 1, 8) == ["s"]
    assert frame_phones([(0, 1, "t"), (1, 7, "s"), (7, 8, "t")], 1, 8) == ["s"]  # two short ones against a longer one
    assert frame_phones([(0, 11, "t"), (11, 16, "s")], 2, 8) == ["t", "s"]  # 8 of the 11 are the first frame's


def test_the_map_is_learned_on_training_frames_alone():
    codes, phones = np.array([0, 0, 0, 1, 1, 2]), np.array([1, 1, 0, 2, UNLABELLED, 1])
    np.testing.assert_array_equal(majority_phones(codes, phones, 4, 3), [1, 2, 1, 1])  # code 3: the most frequent phone
    test = (np.array([0, 0, 1, 3, 1]), np.array([1, 0, 2, 1, UNLABELLED]))
    scores = phoneme_scores((codes, phones), test, 4, ("a", "b", "c"))
    assert scores.accuracy == 3 / 4
    assert scores.frames == 4
    assert scores.most_common == 2 / 4
    np.testing.assert_array_equal(scores.confusion, [[0, 1, 0], [0, 2, 0], [0, 0, 1]])
    assert scores.entropy_bits == pytest.approx(1.5)


def test_mutual_information_of_a_permutation_and_of_independence():
    assert mutual_information_bits(np.eye(4)[[2, 0, 3, 1]] * 5) == pytest.approx(2.0)
    assert mutual_information_bits(np.outer([1, 2, 3], [4, 5])) == pytest.approx(0.0, abs=1e-12)


def test_random_codes_score_no_more_than_the_most_frequent_phone():
    rng = np.random.default_rng(0)
    phones = rng.choice(3, 4000, p=[0.5, 0.3, 0.2])
    scores = phoneme_scores((phones, phones), (phones, phones), 3, ("a", "b", "c"))
    assert scores.accuracy == 1.0
    assert scores.random_accuracy == pytest.approx(0.5, abs=0.03)


def test_no_labels_are_refused():
    none = (np.zeros(3, int), np.full(3, UNLABELLED))
    with pytest.raises(UserError, match="phn"):
        phoneme_scores(none, none, 2, ("a",))
