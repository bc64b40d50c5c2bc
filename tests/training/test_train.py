from __future__ import annotations

import functools
import json
import os
import resource
import signal

import keras
import numpy as np
import pytest
import tensorflow as tf

from vq_vae_tf.errors import UserError
from vq_vae_tf.files import sha256_of, weights_size
from vq_vae_tf.training import Interrupted, load_weights, loop, read_metrics, train, weights_digest
from vq_vae_tf.training.log import TIME_FIELDS
from vq_vae_tf.training.result import WEIGHTS, read_result
from vq_vae_tf.training.strategies import make_strategy


def lines_without_times(directory):
    lines = read_metrics(directory / "metrics.jsonl")
    return [{name: value for name, value in line.items() if name not in TIME_FIELDS} for line in lines]


def newest_checkpoint(directory):
    with np.load(max((directory / "checkpoints").iterdir())) as file:
        return {name: file[name] for name in file.files if name != "meta"}


def sigterm_at(*steps):
    def summarize(model, step, writer):
        if step in steps:
            os.kill(os.getpid(), signal.SIGTERM)

    return summarize


@pytest.fixture(scope="module")
def whole(toy, tmp_path_factory):
    """A run of 23 steps with everything switched on, never interrupted."""
    directory = tmp_path_factory.mktemp("whole")
    return train(lambda: toy.Toy(0.3), toy.batches, toy.options(), directory, seed=3), directory


def test_stopped_and_resumed_between_all_borders_it_ends_the_same_bit_for_bit(toy, whole, tmp_path):
    for stop in (3, 11, 12, 20):
        with pytest.raises(Interrupted, match=f"SIGTERM received: stopped after step {stop} of 23") as caught:
            train(
                lambda: toy.Toy(0.3), toy.batches, toy.options(summary_every=1), tmp_path, 3, summarize=sigterm_at(stop)
            )
        assert caught.value.exit_status == 143
    result = train(lambda: toy.Toy(0.3), toy.batches, toy.options(), tmp_path, seed=3)
    expected, directory = whole
    assert result.digest == expected.digest
    assert lines_without_times(tmp_path) == lines_without_times(directory)
    ours, theirs = newest_checkpoint(tmp_path), newest_checkpoint(directory)
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert ours[name].tobytes() == theirs[name].tobytes(), name


def test_the_checkpoint_holds_random_states_codebook_slots_and_averages(whole):
    names = " ".join(newest_checkpoint(whole[1]))
    for part in ("seed_generator_state", "code_counts", "kernel", "optimizer/0000", "average/0000"):
        assert part in names


def test_how_steps_are_cut_into_calls_changes_nothing(toy, whole, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "SECONDS_PER_CALL", 1e-9)
    result = train(lambda: toy.Toy(0.3), toy.batches, toy.options(), tmp_path, seed=3)
    assert result.digest == whole[0].digest
    assert lines_without_times(tmp_path) == lines_without_times(whole[1])


def test_lines_are_means_over_their_steps_at_the_borders_and_the_end(whole):
    lines = lines_without_times(whole[1])
    assert [line["step"] for line in lines] == [5, 10, 15, 20, 23]
    for line in lines:
        assert list(line) == ["step", "loss", "reconstruction", "quantization", "learning_rate"]
        assert line["loss"] == pytest.approx(line["reconstruction"] + line["quantization"], rel=1e-5)


def test_result_file_weights_file_and_result_agree_and_a_finished_run_does_nothing(toy, whole):
    result, directory = whole
    stored = json.loads((directory / "result.json").read_text())
    assert (stored["steps"], stored["digest"], stored["options"]["seed"]) == (23, result.digest, 3)
    assert stored["metrics"]["step"] == 23
    model = toy.Toy(0.3)
    model(np.zeros((1, toy.FEATURES), "float32"))
    assert load_weights(model, directory) == result
    assert weights_digest(model) == result.digest
    assert train(None, None, toy.options(), directory, seed=3) == result


def test_saved_weights_are_the_averaged_ones_and_so_are_summarised_ones(toy, tmp_path):
    seen = {}

    def summarize(model, step, writer):
        seen[step] = model.encoder.kernel.numpy()

    train(toy.Toy, toy.batches, toy.options(), tmp_path, seed=3, summarize=summarize)
    state = newest_checkpoint(tmp_path)
    model = toy.Toy()
    model(np.zeros((1, toy.FEATURES), "float32"))
    load_weights(model, tmp_path)
    index = next(i for i, v in enumerate(model.weights) if v is model.encoder.kernel)
    assert list(seen) == [10, 20, 23]
    np.testing.assert_array_equal(model.encoder.kernel.numpy(), state[f"average/{index:04d}"])
    np.testing.assert_array_equal(seen[23], state[f"average/{index:04d}"])
    assert not np.array_equal(seen[23], state[f"model/{index:04d}/kernel"])


def test_damaged_weights_are_refused_by_their_digest(toy, whole, tmp_path):
    for name in ("result.json", "model.weights.h5"):
        (tmp_path / name).write_bytes((whole[1] / name).read_bytes())
    model = toy.Toy(0.3)
    model(np.zeros((1, toy.FEATURES), "float32"))
    model.load_weights(tmp_path / "model.weights.h5")
    model.decoder.bias.assign_add([1e-3] * toy.FEATURES)
    model.save_weights(tmp_path / "model.weights.h5")
    with pytest.raises(UserError, match=r"does not hold the weights that .*result\.json describes"):
        load_weights(model, tmp_path)
    (tmp_path / "model.weights.h5").write_bytes(b"no")
    with pytest.raises(UserError, match=r"model\.weights\.h5 is damaged or of another model"):
        load_weights(model, tmp_path)
    with pytest.raises(UserError, match="no finished training"):
        load_weights(model, tmp_path / "elsewhere")


# Without clipping, slots show gradients of another size; with it, the order of clipping and summing shows.
@pytest.mark.parametrize("clip_norm", [0.0, 0.5])
def test_n_replicas_equal_one_on_the_same_global_batch(toy, tmp_path, clip_norm):
    for name in ("default", "mirrored"):
        options, strategy = toy.options(steps=11, clip_norm=clip_norm), make_strategy(name)
        train(toy.Toy, toy.batches, options, tmp_path / name, seed=3, strategy=strategy)
    assert strategy.num_replicas_in_sync == 2
    one, two = newest_checkpoint(tmp_path / "default"), newest_checkpoint(tmp_path / "mirrored")
    assert one.keys() == two.keys()
    for name in one:
        np.testing.assert_allclose(two[name], one[name], rtol=1e-5, atol=1e-6, err_msg=name)
    for ours, theirs in zip(
        lines_without_times(tmp_path / "mirrored"), lines_without_times(tmp_path / "default"), strict=True
    ):
        assert ours == pytest.approx(theirs, rel=1e-4)


def test_a_signal_in_the_last_step_ends_the_command_and_the_training_is_there(toy, whole, tmp_path):
    with pytest.raises(Interrupted, match="stopped after step 23 of 23"):
        train(lambda: toy.Toy(0.3), toy.batches, toy.options(), tmp_path, 3, summarize=sigterm_at(23))
    assert read_result(tmp_path).digest == whole[0].digest


def test_lines_are_means_over_their_steps_also_when_they_come_more_often_than_before(toy, whole, tmp_path):
    with pytest.raises(Interrupted):
        train(lambda: toy.Toy(0.3), toy.batches, toy.options(summary_every=1, log_every=20), tmp_path, 3,
              summarize=sigterm_at(7))  # fmt: skip
    train(lambda: toy.Toy(0.3), toy.batches, toy.options(log_every=5), tmp_path, seed=3)
    found = {line["step"]: line["loss"] for line in lines_without_times(tmp_path)}
    expected = {line["step"]: line["loss"] for line in lines_without_times(whole[1])}
    assert found[10] == pytest.approx((expected[5] + expected[10]) / 2, rel=1e-5)  # of ten steps
    assert {step: found[step] for step in (15, 20, 23)} == {step: expected[step] for step in (15, 20, 23)}


def test_a_disk_too_full_for_the_weights_is_one_sentence_and_they_come_with_room(toy, whole, tmp_path):
    """HDF5 would end the process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def full(model, step, writer):
        if step == 23:
            resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))

    try:
        with pytest.raises(UserError, match="could not be written"):
            train(lambda: toy.Toy(0.3), toy.batches, toy.options(), tmp_path, 3, summarize=full)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not (tmp_path / WEIGHTS).exists()
    assert not list(tmp_path.glob(".partial*"))
    assert train(lambda: toy.Toy(0.3), toy.batches, toy.options(), tmp_path, seed=3).digest == whole[0].digest


def test_weights_take_no_more_room_than_is_asked_for(toy, whole):
    result, directory = whole
    assert (directory / WEIGHTS).stat().st_size < weights_size(toy.Toy(0.3)) + 2**20
    assert result.sha256 == sha256_of(directory / WEIGHTS)


def test_a_checkpoint_of_one_replica_continues_on_two(toy, tmp_path):
    with pytest.raises(Interrupted):
        train(toy.Toy, toy.batches, toy.options(summary_every=8), tmp_path, seed=3, summarize=sigterm_at(8))
    train(toy.Toy, toy.batches, toy.options(), tmp_path, seed=3, strategy=make_strategy("mirrored"))
    assert lines_without_times(tmp_path)[-1]["step"] == 23


def test_random_layers_train_on_two_replicas(toy, tmp_path):
    strategy = make_strategy("mirrored")
    train(lambda: toy.Toy(0.3), toy.batches, toy.options(steps=4, warmup_steps=0), tmp_path, seed=3, strategy=strategy)


def test_models_of_other_sizes_train_on_replicas_in_one_process(toy, tmp_path):
    """As the stages of several runs do: collectives of the same number but another shape would fail."""
    for width in (3, 8, 24):
        options, strategy = toy.options(steps=4, warmup_steps=0), make_strategy("mirrored")
        name, model = str(width), functools.partial(toy.Toy, width=width)
        train(model, toy.batches, options, tmp_path / name, seed=3, strategy=strategy)
        assert lines_without_times(tmp_path / name)[-1]["step"] == 4


def test_jit_gives_the_same_numbers(toy, tmp_path):
    for jit in (False, True):
        train(toy.Toy, toy.batches, toy.options(steps=10, jit=jit), tmp_path / str(jit), seed=3)
    plain, compiled = newest_checkpoint(tmp_path / "False"), newest_checkpoint(tmp_path / "True")
    for name in plain:
        np.testing.assert_allclose(compiled[name], plain[name], rtol=1e-3, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_keeps_float32_weights_and_learns(toy, tmp_path, policy):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        train(toy.Toy, toy.batches, toy.options(steps=40, log_every=10), tmp_path, seed=3)
    finally:
        keras.config.set_dtype_policy(before)
    lines = lines_without_times(tmp_path)
    assert lines[-1]["loss"] < lines[0]["loss"]
    state = newest_checkpoint(tmp_path)
    assert ("loss_scale/0000" in state) == (policy == "mixed_float16")
    assert {value.dtype.name for name, value in state.items() if name.endswith("kernel")} == {"float32"}


def spoiled(toy, bad_step, value):
    def batches(**where):
        def spoil(step, batch):
            return {"x": tf.where(step == bad_step, value, batch["x"])}

        steps = tf.data.Dataset.counter(where["start_step"])
        return tf.data.Dataset.zip(steps, toy.batches(**where)).map(spoil)

    return batches


@pytest.mark.parametrize("value", [np.nan, 1e38])
def test_a_loss_that_is_not_finite_names_step_and_term_and_keeps_the_good_checkpoint(toy, tmp_path, value):
    with pytest.raises(UserError, match=r"^Training step 10 gave loss and reconstruction.* not finite \(loss=.*lower "):
        train(toy.Toy, spoiled(toy, 9, value), toy.options(), tmp_path, seed=3)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-000000007.npz"]
    assert [line["step"] for line in lines_without_times(tmp_path)] == [5]
    assert not (tmp_path / "result.json").exists()


class Bomb(keras.Model):
    """A finite loss with a gradient that is not: sqrt at 0."""

    def __init__(self):
        super().__init__()
        self.scale = self.add_weight(shape=(), initializer="ones", name="scale")

    def loss_terms(self, batch, training=True):
        return {"loss": keras.ops.sqrt(keras.ops.abs(self.scale * keras.ops.mean(batch["x"])))}


def test_weights_that_are_not_finite_are_never_saved(toy, tmp_path):
    options = toy.options(checkpoint_every=4, log_every=4, clip_norm=0.0)
    with pytest.raises(UserError, match=r"After training step 4 the variable model/0000/scale .* is not finite"):
        train(Bomb, spoiled(toy, 3, 0.0), options, tmp_path, seed=3)
    assert not list(tmp_path.glob("checkpoints/*"))


def test_a_batch_that_replicas_cannot_share_and_jit_on_two_are_refused(toy, tmp_path):
    strategy = make_strategy("mirrored")
    with pytest.raises(
        UserError, match="--batch_size=7 was given, but 2 replicas share it equally; use a multiple of 2"
    ):
        train(toy.Toy, toy.batches, toy.options(batch_size=7), tmp_path, seed=3, strategy=strategy)
    with pytest.raises(UserError, match="--jit compiles for one replica, but there are 2"):
        train(toy.Toy, toy.batches, toy.options(jit=True), tmp_path, seed=3, strategy=strategy)


def test_an_unknown_strategy_lists_the_known_ones():
    with pytest.raises(UserError, match="--strategy=horovod was given, but it must be one of default, mirrored, "):
        make_strategy("horovod")


def test_a_work_folder_that_cannot_be_made_is_named(toy, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file/run could not be written \(Not a directory\)"):
        train(toy.Toy, toy.batches, toy.options(), tmp_path / "file" / "run", seed=3)
