"""The best coding within a budget: the Lagrangian's own solutions where places do not touch, never above it."""

from __future__ import annotations

import math

import keras
import numpy as np
import pytest
from keras import ops

from vq_vae_tf.budget import search_within
from vq_vae_tf.search import rounds


def tables(shape, num_codes):
    """Loss and rate of every code at every place; a code that is nearer has less of the first, more of the second."""
    rng = np.random.default_rng(0)
    far = np.sort(rng.exponential(1.0, (*shape, num_codes)), axis=-1).astype(np.float32)
    rate = np.sort(rng.exponential(1.0, (*shape, num_codes)), axis=-1)[..., ::-1].astype(np.float32)
    order = np.argsort(rng.random((*shape, num_codes)), axis=-1)
    return np.take_along_axis(far, order, -1), np.take_along_axis(rate, order, -1), np.argsort(order, -1)


def searched(far, rate, nearby, most, sweeps=3, candidates=5, power=1.0, seen=None):
    def loss_map(codes):
        if seen is not None:
            seen.append(np.asarray(codes))
        losses = ops.take_along_axis(ops.convert_to_tensor(far), codes[..., None], axis=-1)[..., 0]
        return losses if len(codes.shape) == 3 else ops.sum(losses, axis=-1)

    tried = ops.convert_to_tensor(nearby.astype(np.int32))
    apart = np.take_along_axis(far, nearby, -1)
    near = tried, ops.convert_to_tensor((apart - apart[..., :1]) ** power)
    codes, within = search_within(
        tried[..., 0],
        near,
        loss_map,
        lambda codes: ops.convert_to_tensor(rate),
        most,
        candidates,
        sweeps,
    )
    return np.asarray(codes), np.asarray(within)


def best_of_weights(far, rate, most):
    """The least loss within the budget of what any weight chooses, each place for itself."""
    best = np.full(len(far), math.inf)
    for weight in np.geomspace(1e-4, 1e4, 3000):
        each = (far + weight * rate).argmin(-1)
        best = np.minimum(best, np.where(of(rate, each) <= most, of(far, each), math.inf))
    return best


def of(table, codes):
    found = np.take_along_axis(table, codes[..., None], -1)
    return found.reshape(len(codes), -1).sum(-1)


@pytest.mark.parametrize("shape", [(9, 3, 4), (9, 2, 3, 2)])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_where_places_do_not_touch_it_comes_near_the_best_of_all_weights(shape, share):
    far, rate, nearby = tables(shape, 8)
    nearest = nearby[..., 0]
    most = share * float(of(rate, nearest).min())
    codes, within = searched(far, rate, nearby, most)
    assert within.all()
    assert (of(rate, codes) <= most * (1 + 1e-5)).all()
    nearest, best = of(far, nearest), best_of_weights(far, rate, most)
    assert (of(far, codes) - nearest <= 1.25 * (best - nearest) + 1e-6).all()
    assert (of(far, codes) - nearest).sum() <= 1.05 * (best - nearest).sum()


@pytest.mark.parametrize("power", [0.4, 2.5])
def test_where_distances_mislead_the_next_sweep_makes_good_what_the_last_one_missed(power):
    far, rate, nearby = tables((9, 4, 4), 8)
    most = 0.6 * float(of(rate, nearby[..., 0]).min())
    nearest, best = of(far, nearby[..., 0]), best_of_weights(far, rate, most)
    for sweeps in (1, 6):
        codes, within = searched(far, rate, nearby, most, sweeps, candidates=8, power=power)
        ratio = np.where(within, (of(far, codes) - nearest) / (best - nearest), math.inf)
        assert (np.median(ratio) < 1.1) if sweeps == 6 else (np.median(ratio) > 1.15)
        assert within.all()  # after one sweep by those that follow while there is an image without


def test_one_place_has_the_best_of_all_weights_within_the_budget():
    far, rate, nearby = tables((40, 1, 1), 6)
    most = 1.0
    codes, within = searched(far, rate, nearby, most)
    np.testing.assert_array_equal(within, (rate <= most).any(-1).reshape(-1))
    assert (of(rate, codes) <= most)[within].all()
    np.testing.assert_allclose(of(far, codes)[within], best_of_weights(far, rate, most)[within], rtol=1e-6)


def test_a_budget_that_nothing_meets_is_said_and_one_that_all_meet_is_no_limit():
    far, rate, nearby = tables((3, 4, 4), 5)
    _, within = searched(far, rate, nearby, 1e-3)
    assert not within.any()
    codes, within = searched(far, rate, nearby, 1e6, candidates=5)
    assert within.all()
    np.testing.assert_array_equal(codes, nearby[..., 0])


def test_only_codes_that_are_offered_are_chosen():
    far, rate, nearby = tables((4, 5, 5), 9)
    codes, within = searched(far, rate, nearby[..., :3], 50.0, candidates=2)
    assert within.all()
    assert (codes[..., None] == nearby[..., :3]).any(-1).all()


def test_what_no_near_code_can_tell_in_so_many_nats_is_told_by_likely_ones():
    far, rate, nearby = tables((4, 5, 5), 9)
    most = 8.0
    assert (np.take_along_axis(rate, nearby[..., :3], -1).min(-1).reshape(4, -1).sum(-1) > most).all()
    codes, within = searched(far, rate, nearby[..., :3], most, candidates=2)
    assert within.all()
    assert (of(rate, codes) <= most * (1 + 1e-5)).all()


def test_an_image_is_told_alike_whatever_else_the_batch_holds():
    """Likely codes are near here but not among those tried at first: all that is met later is better."""
    far, _, nearby = tables((3, 5, 5), 9)
    rate = far + np.float32([0.0, 0.0, 9.0])[:, None, None, None]  # for the last one the search goes on to its end
    offered = nearby[..., 5:8]
    near = np.take_along_axis(rate, offered, -1).min(-1).reshape(3, -1).sum(-1)
    most = float(near[:2].mean())
    assert near[0] != near[1]  # one of them is told at once, the other by codes met later
    both, within = searched(far, rate, offered, most, candidates=2)
    np.testing.assert_array_equal(within, [True, True, False])
    for i in range(3):
        alone, _ = searched(far[i : i + 1], rate[i : i + 1], offered[i : i + 1], most, candidates=2)
        np.testing.assert_array_equal(both[i : i + 1], alone)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="loops of other backends are traced")
def test_no_decoding_is_spent_on_the_code_that_a_place_has():
    far, rate, nearby = tables((3, 2, 3), 6)
    seen = []
    searched(far, rate, nearby, 0.6 * float(of(rate, nearby[..., 0]).min()), sweeps=2, candidates=3, seen=seen)
    masks, start = rounds((2, 3)), len(seen) - 2 * len(rounds((2, 3))) * 4
    held = nearby[..., 0]
    for step in range(2 * len(masks)):
        *tried, found = seen[start + 4 * step :][:4]
        offered = np.stack([codes[:, masks[step % len(masks)]] for codes in (held, *tried)])
        assert all(len(set(column)) == 4 for column in offered.reshape(4, -1).T)
        held = found
