from __future__ import annotations

import json

import pytest
import tensorflow as tf

from vq_vae_tf.disk import writing
from vq_vae_tf.errors import UserError
from vq_vae_tf.training.log import MetricsLog, read_metrics


def write(directory, start_step, steps):
    with MetricsLog(directory, start_step) as log:
        for step in steps:
            log.write(step, {"loss": step / 3, "seconds": 1.0})


def test_resumed_at_a_step_the_file_is_as_if_never_interrupted(tmp_path):
    path = tmp_path / "metrics.jsonl"
    write(tmp_path, 0, [10, 20, 30, 40])
    whole = path.read_text()
    write(tmp_path, 25, [30, 40])
    assert path.read_text() == whole


def test_a_line_cut_short_by_a_kill_is_dropped(tmp_path):
    path = tmp_path / "metrics.jsonl"
    write(tmp_path, 0, [10, 20])
    whole = path.read_text()
    path.write_text(whole[:-9])
    assert [line["step"] for line in read_metrics(path)] == [10]
    write(tmp_path, 10, [20])
    assert path.read_text() == whole


def test_a_damaged_line_in_the_middle_is_named(tmp_path):
    path = tmp_path / "metrics.jsonl"
    write(tmp_path, 0, [10, 20, 30])
    lines = path.read_bytes().splitlines(keepends=True)
    for damaged in (b"\0\0\xff\0\n", b"{}\n", b"[1]\n"):
        path.write_bytes(lines[0] + damaged + lines[2])
        with pytest.raises(UserError, match=r"metrics.jsonl: line 2 is damaged"):
            read_metrics(path)


def test_a_full_disk_is_told_once_and_whole_lines_stay(tmp_path):
    path = tmp_path / "metrics.jsonl"
    write(tmp_path, 0, [10, 20])
    whole = path.read_text()

    def more():
        with MetricsLog(tmp_path, 20) as log, writing(path):
            log._file.close()
            log._file = open("/dev/full", "a", encoding="utf-8")  # noqa: SIM115
            log.write(30, {"loss": 1.0})

    with pytest.raises(UserError, match=r"metrics.jsonl could not be written \(No space left on device\)"):
        more()
    assert path.read_text() == whole


def test_a_missing_file_has_no_lines(tmp_path):
    assert read_metrics(tmp_path / "metrics.jsonl") == []


def test_tensorboard_gets_the_same_numbers(tmp_path):
    write(tmp_path, 0, [10, 20])
    (events,) = (tmp_path / "tensorboard").iterdir()
    found = {}
    for record in tf.data.TFRecordDataset(str(events)):
        event = tf.compat.v1.Event.FromString(record.numpy())
        for value in event.summary.value:
            found[event.step, value.tag] = float(tf.make_ndarray(value.tensor))
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert found == {
        (line["step"], f"train/{name}"): pytest.approx(line[name]) for line in lines for name in ("loss", "seconds")
    }


def test_a_worker_that_is_not_the_chief_writes_nothing(tmp_path):
    with MetricsLog(tmp_path, 0, active=False) as log:
        log.write(1, {"loss": 1.0})
    assert list(tmp_path.iterdir()) == []
