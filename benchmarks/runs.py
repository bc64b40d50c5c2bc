"""Runs of bin/train that benchmarks compare."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path


def scores(folder: Path, stages: str, flags: tuple[str, ...]) -> dict:
    """evaluation.json of `cifar_sonnet.flags` with further flags, trained now or found in the folder."""
    result = folder / "evaluation.json"
    if not result.exists():
        command = [sys.executable, "-m", "vq_vae_tf.commands.train", "--flagfile=cifar_sonnet.flags", *flags]
        command += [f"--workdir={folder}", f"--stages={stages}"]
        done = subprocess.run(command, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{' '.join(command)}\n{done.stderr[-2000:]}")
    return json.loads(result.read_text(encoding="utf-8"))
