from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vq_vae_tf import config as config_lib
from vq_vae_tf.errors import UserError
from vq_vae_tf.pipeline.run import read_flagfile


def test_every_flag_has_one_name():
    names = [option.name for option in config_lib.options()]
    assert len(names) == len(set(names))


def test_values_round_trip():
    config = config_lib.replace(config_lib.Config(), steps=7, prior_dropout=0.25, dataset="folder:/a b", strict=True)
    assert config_lib.from_values(config_lib.to_values(config)) == config


@given(
    rate=st.floats(1e-8, 10.0),
    steps=st.integers(1, 10**9),
    name=st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20),
    jit=st.booleans(),
)
def test_flagfile_reproduces_the_config(tmp_path_factory, rate, steps, name, jit):
    config = config_lib.replace(config_lib.Config(), learning_rate=rate, steps=steps, dataset=name, jit=jit)
    path = tmp_path_factory.mktemp("flags") / "config.flags"
    path.write_text(config_lib.to_flagfile(config), encoding="utf-8")
    assert read_flagfile(path) == config


def test_only_identity_makes_another_run():
    base = config_lib.Config()
    everything = ("vqvae", "codes", "prior")
    assert config_lib.differences(base, config_lib.replace(base, stages="codes", export_name="other"), everything) == []
    assert config_lib.differences(base, config_lib.replace(base, seed=3), everything) == ["--seed=3 (was 0)"]


def test_flags_of_a_stage_that_has_not_begun_make_no_other_run():
    base = config_lib.Config()
    changed = config_lib.replace(base, units=3, draw_temperature=0.5, prior_steps=7)
    held = ["--units=3 (was 128)", "--draw_temperature=0.5 (was 0.0)", "--prior_steps=7 (was 10000)"]
    assert config_lib.differences(base, changed, ("vqvae", "codes", "prior")) == held
    assert config_lib.differences(base, changed, ("vqvae", "codes")) == held[:2]
    assert config_lib.differences(base, changed, ("vqvae",)) == held[:1]
    assert config_lib.differences(base, changed, ()) == []
    of_prior = {option.name for option in config_lib.options() if option.stage == "prior"}
    dynamics = {"past_frames", "past_units", "past_layers", "use_actions", "motion_heads", "camera_depths"}
    assert of_prior == dynamics | {option.name for option in config_lib.options() if option.section == "prior"}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"num_embeddings": 1}, "--num_embeddings=1 is too small; give at least 2"),
        ({"ema_decay": 1.5}, "--ema_decay=1.5 is too large; give at most 1"),
        ({"schedule": "wavy"}, "--schedule=wavy is not known; choose one of constant, cosine, linear"),
        ({"stpes": 3}, "--stpes is not a flag"),
    ],
)
def test_wrong_values_are_named(values, message):
    with pytest.raises(UserError, match=message):
        config_lib.from_values(values)


def test_config_cannot_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        config_lib.Config().run = None
