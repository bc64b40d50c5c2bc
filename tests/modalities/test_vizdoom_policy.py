"""Policies of walkers, without the engine."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vq_vae_tf.modalities.vizdoom_policy import ACTIONS, POLICIES, uniform, walk

seeds = st.integers(0, 2**32 - 1)
walls = st.lists(st.booleans(), min_size=1, max_size=60)


def acts(policy, seed, stuck):
    """The actions of a walker who meets walls where `stuck` says so, and its `turning` after each."""
    random = np.random.default_rng(seed)
    action, turning, shown = 0, 0, []
    for wall in stuck:
        action, turning = policy(action, turning, wall, random)
        shown.append((action, turning))
    return shown


def walk_of_version_1(seed, stuck):
    """What the data sets of frames and walks were rendered with, written down a second time."""
    random = np.random.default_rng(seed)
    action, away, shown = 0, 0, []
    for wall in stuck:
        if away > 0:
            away -= 1
        elif wall and action in (0, 1, 2):
            action, away = int(random.integers(3, 5)), 3
        elif random.random() < 0.3:
            action = int(random.choice(5, p=np.array([0.5, 0.2, 0.2, 0.05, 0.05])))
        shown.append((action, away))
    return shown


@given(seed=seeds, stuck=walls)
def test_the_walk_is_that_of_the_data_on_disk(seed, stuck):
    assert acts(walk, seed, stuck) == walk_of_version_1(seed, stuck)


@pytest.mark.parametrize("name", POLICIES)
@given(seed=seeds, stuck=walls)
def test_actions_are_those_that_there_are(name, seed, stuck):
    shown = acts(POLICIES[name], seed, stuck)
    assert all(action in range(len(ACTIONS)) and turning >= 0 for action, turning in shown)
    assert shown == acts(POLICIES[name], seed, stuck), "depends on more than its arguments"


@given(seed=seeds, action=st.sampled_from((0, 1, 2)), after=st.lists(st.booleans(), min_size=3, max_size=3))
def test_a_walker_at_a_wall_turns_on_the_spot_for_four_steps(seed, action, after):
    random = np.random.default_rng(seed)
    turn, turning = walk(action, 0, True, random)
    assert list(ACTIONS.values())[turn] in ((0, 1, 0), (0, 0, 1))
    for stuck in after:
        assert turning > 0
        kept, turning = walk(turn, turning, stuck, random)
        assert kept == turn
    assert turning == 0


def counted(pairs):
    counts = np.zeros((5, 5))
    np.add.at(counts, tuple(np.array(pairs).T), 1)
    return counts


def assert_probabilities(counts, probabilities):
    """Within five standard deviations of a binomial count."""
    total = counts.sum()
    bound = 5 * np.sqrt(total * probabilities * (1 - probabilities)) + 1
    np.testing.assert_array_less(np.abs(counts - total * probabilities), bound)


@pytest.mark.parametrize("stuck", [False, True])
def test_uniform_draws_every_action_anew(stuck):
    actions = [action for action, _ in acts(uniform, 0, [stuck] * 10_000)]
    after = counted([*pairwise(actions)])
    for row in after:
        assert_probabilities(row, np.full(5, 0.2))


def test_walk_keeps_its_action_and_changes_its_mind_as_stated():
    actions = [action for action, _ in acts(walk, 0, [False] * 20_000)]
    after = counted([*pairwise(actions)])
    for action, row in enumerate(after):
        assert_probabilities(row, 0.7 * np.eye(5)[action] + 0.3 * np.array([0.5, 0.2, 0.2, 0.05, 0.05]))
