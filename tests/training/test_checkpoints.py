from __future__ import annotations

import errno
import resource

import numpy as np
import pytest
import tensorflow as tf

from vq_vae_tf.errors import UserError
from vq_vae_tf.training.checkpoints import Checkpoints, Position


def variables(value=1.0):
    return {
        "model/0000/kernel": tf.Variable(np.full((50, 20), value, np.float32)),
        "model/0001/seed": tf.Variable(np.array([3, 2**31 + 5], np.uint32)),
        "model/0002/steps": tf.Variable(np.int64(2**40)),
        "model/0003/half": tf.Variable(tf.constant([1.5, -2.0, 3e38], tf.bfloat16)),
    }


def test_what_is_saved_comes_back_bit_for_bit_whatever_the_type(tmp_path):
    checkpoints = Checkpoints(tmp_path / "checkpoints", keep=3)
    saved = variables(np.pi)
    position = Position(12, 3.25, (0.1, 1 / 3), 5)
    checkpoints.save(saved, position)
    restored = variables(0.0)
    for variable in restored.values():
        variable.assign(tf.zeros_like(variable))
    assert checkpoints.restore_latest(restored) == position
    for name, variable in restored.items():
        assert variable.numpy().tobytes() == saved[name].numpy().tobytes()


def test_nothing_saved_is_nothing_restored(tmp_path):
    assert Checkpoints(tmp_path / "absent", keep=1).restore_latest(variables()) is None


def test_only_the_newest_are_kept_and_the_newest_is_restored(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=2)
    for step in (5, 900, 1000, 20_000):
        checkpoints.save(variables(step), Position(step, 0.0, (), 0))
    assert checkpoints.steps() == [1000, 20_000]
    restored = variables()
    assert checkpoints.restore_latest(restored).step == 20_000
    assert restored["model/0000/kernel"].numpy()[0, 0] == 20_000


def damaged_at(where, path):
    data = bytearray(path.read_bytes())
    if where == "cut in half":
        return data[: len(data) // 2]
    if where == "cut by one byte":
        return data[:-1]
    if where == "empty":
        return b""
    if where == "in the table of contents":
        data[data.rindex(b"PK\x01\x02") + 10] ^= 64  # how it is compressed
        return data
    data[len(data) // 2] ^= 1
    return data


@pytest.mark.parametrize("where", ["cut in half", "cut by one byte", "empty", "one bit", "in the table of contents"])
def test_a_damaged_checkpoint_is_named_with_the_way_out(tmp_path, where):
    checkpoints = Checkpoints(tmp_path, keep=2)
    for step in (10, 20):
        path = checkpoints.save(variables(step), Position(step, 0.0, (), 0))
    path.write_bytes(damaged_at(where, path))
    restored = variables(7.0)
    with pytest.raises(UserError, match=r"step-000000020\.npz is damaged .* delete it .* continue from step 10,"):
        checkpoints.restore_latest(restored)
    assert restored["model/0000/kernel"].numpy()[0, 0] == 7.0
    path.unlink()
    assert checkpoints.restore_latest(restored).step == 10


def test_a_checkpoint_of_another_model_names_the_first_difference(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.save(variables(), Position(1, 0.0, (), 0))
    other = variables() | {"model/0001/seed": tf.Variable(np.zeros(3, np.uint32))}
    with pytest.raises(UserError, match=r"another model: model/0001/seed is \(2,\) there and \(3,\) in this one"):
        checkpoints.restore_latest(other)
    with pytest.raises(UserError, match=r"optimizer/0000 is absent there and \(1,\) in this one"):
        checkpoints.restore_latest(variables() | {"optimizer/0000": tf.Variable([0.0])})


def test_what_a_killed_process_left_is_removed(tmp_path):
    (tmp_path / ".step-000000009.abc.partial.npz").write_bytes(b"half")
    checkpoints = Checkpoints(tmp_path, keep=1)
    assert checkpoints.steps() == []
    checkpoints.save(variables(), Position(10, 0.0, (), 0))
    assert [path.name for path in tmp_path.iterdir()] == ["step-000000010.npz"]


def test_a_disk_that_is_full_halfway_leaves_the_earlier_checkpoint_and_no_rest(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.save(variables(1.0), Position(1, 0.0, (), 0))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
    try:
        with pytest.raises(UserError, match=r"step-000000002\.npz could not be written \(File too large\)"):
            checkpoints.save(variables(2.0), Position(2, 0.0, (), 0))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.name for path in tmp_path.iterdir()] == ["step-000000001.npz"]
    assert checkpoints.restore_latest(variables()).step == 1


def test_no_permission_is_told_in_the_same_words(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    with pytest.raises(UserError, match=r"could not be written \(Permission denied\).*give write permission"):
        Checkpoints(tmp_path, keep=1).save(variables(), Position(1, 0.0, (), 0))
