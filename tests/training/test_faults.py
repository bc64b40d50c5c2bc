"""Faults that need processes of their own: kill -9, and two workers against one."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

TOY = Path(__file__).with_name("toy.py")
PATIENCE = 300


def start(directory, strategy="default", steps=23, pause=0.0, **environment):
    command = [sys.executable, "-W", "error::UserWarning", str(TOY), str(directory), strategy, str(steps), str(pause)]
    root = str(TOY.parents[2])
    changed = os.environ | {"PYTHONPATH": root, "TF_NUM_INTRAOP_THREADS": "1"} | environment
    return subprocess.Popen(command, env=changed, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(process):
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, output
    return output.split()[-1]


def checkpoint(directory, step):
    with np.load(directory / "checkpoints" / f"step-{step:09d}.npz") as file:
        return {name: file[name] for name in file.files if name != "meta"}


@pytest.mark.slow
def test_killed_with_9_at_any_moment_and_run_again_it_ends_bit_for_bit_the_same(tmp_path):
    whole = start(tmp_path / "whole", steps=23)
    killed = start(tmp_path / "killed", steps=23, pause=0.05)
    deadline = time.monotonic() + PATIENCE
    while not (tmp_path / "killed" / "checkpoints" / "step-000000007.npz").exists():
        assert killed.poll() is None, killed.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(float(np.random.default_rng().uniform(0, 0.3)))
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "killed" / "result.json").exists()
    assert finish(start(tmp_path / "killed", steps=23)) == finish(whole)
    ours, theirs = (checkpoint(tmp_path / name, 23) for name in ("killed", "whole"))
    assert {name: value.tobytes() for name, value in ours.items()} == {n: v.tobytes() for n, v in theirs.items()}


def free_ports(number):
    sockets = [socket.socket() for _ in range(number)]
    for each in sockets:
        each.bind(("localhost", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@pytest.mark.slow
def test_two_workers_equal_one_on_the_same_global_batch(tmp_path):
    cluster = {"worker": [f"localhost:{port}" for port in free_ports(2)]}
    tasks = [json.dumps({"cluster": cluster, "task": {"type": "worker", "index": i}}) for i in range(2)]
    workers = [start(tmp_path / "two", "multi_worker", 50, TF_CONFIG=task) for task in tasks]
    alone = json.dumps({"cluster": {"worker": ["localhost:0"]}, "task": {"type": "worker", "index": 0}})
    digests = {finish(worker) for worker in workers}
    assert len(digests) == 1
    finish(start(tmp_path / "one", "multi_worker", 50, TF_CONFIG=alone))
    one, two = checkpoint(tmp_path / "one", 50), checkpoint(tmp_path / "two", 50)
    assert one.keys() == two.keys()
    for name in one:
        np.testing.assert_allclose(two[name], one[name], rtol=1e-5, atol=2e-6, err_msg=name)
