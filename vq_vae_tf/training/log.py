"""What a run writes down: `metrics.jsonl`, one JSON object a line, and TensorBoard scalars."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import tensorflow as tf

from vq_vae_tf.errors import UserError
from vq_vae_tf.files import write_text

TIME_FIELDS = ("seconds", "steps_per_second")


class MetricsLog:
    """Appends lines to `<directory>/metrics.jsonl` and scalars to `<directory>/tensorboard`.

    Opened at the step a run resumes from, it first drops the lines after that step (and one cut short by a kill),
    so that, but for the time fields, the file ends up as that of a run never interrupted.
    With `active=False` (a worker that is not the chief) it writes nothing.
    """

    def __init__(self, directory: Path, start_step: int, active: bool = True) -> None:
        self.active = active
        if not active:
            self.writer = tf.summary.create_noop_writer()
            return
        path = directory / "metrics.jsonl"
        _truncate(path, start_step)
        self._file = open(path, "a", encoding="utf-8")  # noqa: SIM115 (closed by __exit__)
        self.writer = tf.summary.create_file_writer(str(directory / "tensorboard"))

    def __enter__(self) -> MetricsLog:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if not self.active:
            return
        # What a full disk did not take it refuses again: the first error is the one that is told.
        with suppress(*([OSError, tf.errors.OpError] if error is not None else [])):
            try:
                self._file.close()
            finally:
                self.writer.close()

    def write(self, step: int, metrics: dict[str, float]) -> None:
        """Appends one line and its scalars."""
        if not self.active:
            return
        self._file.write(json.dumps({"step": step, **metrics}) + "\n")
        self._file.flush()
        with self.writer.as_default(step=step):
            for name, value in metrics.items():
                tf.summary.scalar(f"train/{name}", value)
        self.writer.flush()


def read_metrics(path: Path) -> list[dict[str, float]]:
    """The lines of a `metrics.jsonl`; a last line cut short is left out, a missing file is an empty list.

    Raises: UserError naming a line that is damaged.
    """
    if not path.exists():
        return []
    whole = path.read_text(encoding="utf-8", errors="replace").rpartition("\n")[0]
    return [_read(path, number, line) for number, line in enumerate(whole.splitlines(), 1)]


def _read(path: Path, number: int, line: str) -> dict[str, float]:
    try:
        metrics = json.loads(line)
        metrics["step"] + 0
        return metrics
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{path}: line {number} is damaged, expected numbers of a step; remove it.") from None


def _truncate(path: Path, start_step: int) -> None:
    if path.exists():
        kept = [line for line in read_metrics(path) if line["step"] <= start_step]
        write_text(path, "".join(json.dumps(line) + "\n" for line in kept))
