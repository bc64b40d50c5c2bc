from __future__ import annotations

import json

import pytest
import tensorflow as tf

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
