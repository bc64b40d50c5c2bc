"""The training loop: steps, checkpoints, metrics, and a clean end whatever happens."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from vq_vae_tf.disk import writing
from vq_vae_tf.errors import UserError
from vq_vae_tf.progress import Progress
from vq_vae_tf.training.checkpoints import Checkpoints, Position
from vq_vae_tf.training.digest import weights_digest
from vq_vae_tf.training.interrupt import Interrupted, StopRequest, stop_request
from vq_vae_tf.training.log import MetricsLog, read_metrics
from vq_vae_tf.training.optimizer import learning_rate
from vq_vae_tf.training.options import TrainingOptions
from vq_vae_tf.training.result import TrainResult, read_result, write_result
from vq_vae_tf.training.step import TrainingState, make_run_steps
from vq_vae_tf.training.strategies import is_chief

SECONDS_PER_CALL = 0.5
STEPS_PER_CALL_OF_WORKERS = 10

Batches = Callable[..., tf.data.Dataset]
Summarize = Callable[[keras.Model, int, tf.summary.SummaryWriter], None]


def train(
    build_model: Callable[[], keras.Model],
    batches: Batches,
    options: TrainingOptions,
    directory: str | Path,
    seed: int,
    strategy: tf.distribute.Strategy | None = None,
    summarize: Summarize | None = None,
    title: str = "",
) -> TrainResult:
    """Trains a model to the end, from wherever an earlier call in `directory` was stopped.

    The result depends on (`build_model`, `batches`, `options`, `seed`) only: killed at any moment and called
    again, it ends with the same weights, bit for bit on CPU, as never killed. Does nothing if it is finished.

    Args:
      build_model: makes the model, which has `loss_terms(batch, training) -> dict` of scalars with a `"loss"`.
      batches: `batches(batch_size=, start_step=, num_shards=, shard=)` gives an infinite dataset of dicts; it
        starts with the batch of step `start_step`, which depends on that step alone, and holds the rows of shard
        `shard` of `num_shards` equal parts; `batch_size` counts all shards.
      options: see `TrainingOptions`.
      directory: holds `checkpoints/`, `metrics.jsonl`, `tensorboard/`, at the end `model.weights.h5` and
        `result.json`. Several workers need a shared one.
      seed: of the weights' initial values and of everything random in the model.
      strategy: of `make_strategy`; None is one device.
      summarize: `summarize(model, step, writer)`, called every `summary_every` steps and at the end, with averaged
        weights if there are any; writes pictures and histograms.
      title: the first word of the progress line.

    Raises:
      UserError: a loss term is not finite (its name and step), a damaged checkpoint, a full disk, sizes that do
        not divide. Nothing that was complete is lost.
      Interrupted: after SIGTERM or Ctrl-C, with a checkpoint.
    """
    directory = Path(directory)
    finished = read_result(directory)
    if finished is not None:
        return finished
    strategy = strategy if strategy is not None else tf.distribute.get_strategy()
    _check_sizes(options, strategy)
    keras.utils.set_random_seed(seed)
    with stop_request() as request, strategy.scope():
        model = build_model()
        state = TrainingState(model, options, _build(model, batches, options, strategy))
        run = _Run(state, batches, directory, strategy, summarize, title)
        with writing(directory / "metrics.jsonl"):
            log = MetricsLog(directory, run.step, run.chief)
        with log:
            run.to_the_end(log, request)
        result = run.finish(seed)
        run.stop_if_asked(request)  # in the last steps: what comes after this training does not begin
        return result


class _Run:
    """One sitting of a training run: from the newest checkpoint to the end."""

    def __init__(
        self,
        state: TrainingState,
        batches: Batches,
        directory: Path,
        strategy: tf.distribute.Strategy,
        summarize: Summarize | None,
        title: str,
    ) -> None:
        self.state, self.options = state, state.options
        self.directory, self.strategy, self.summarize = directory, strategy, summarize
        self.chief = is_chief(strategy)
        self.workers = _num_workers(strategy)
        self.checkpoints = Checkpoints(directory / "checkpoints", self.options.keep_checkpoints)
        position = self.checkpoints.restore_latest(state.variables())
        self.step = position.step if position else 0
        self.sums = tf.constant(position.sums, tf.float32) if position else tf.zeros([len(state.term_names)])
        self.summed = position.summed if position else 0
        self._seconds_before = position.seconds if position else 0.0
        self._started = time.monotonic()
        self._logged = (self.step, self._started)
        self._seconds_per_step = SECONDS_PER_CALL
        self._check_same_start()
        if self.chief:
            with writing(directory):
                directory.mkdir(parents=True, exist_ok=True)
        self.progress = Progress(self.options.steps, title) if self.chief else None
        self._metrics: dict[str, float] = {}
        self._run_steps = make_run_steps(state, strategy)
        self._batches = _distribute(batches, self.options.batch_size, self.step, strategy)

    def to_the_end(self, log: MetricsLog, request: StopRequest) -> None:
        """Runs the steps that are left; at each border first the line, then the pictures, then the checkpoint."""
        try:
            self._steps(log, request)
        finally:
            if self.progress is not None:
                self.progress.close()

    def _steps(self, log: MetricsLog, request: StopRequest) -> None:
        while self.step < self.options.steps:
            self._some_steps()
            at_end = self.step == self.options.steps
            if at_end or self.step % self.options.log_every == 0:
                self._log(log)
            if self.summarize is not None and (at_end or self.step % self.options.summary_every == 0):
                self._summarize(log)
            stop = not at_end and self._anyone_asked_to_stop(request)
            if at_end or stop or self.step % self.options.checkpoint_every == 0:
                self._checkpoint()
            if self.progress is not None:
                self.progress.update(self.step, self._metrics)
            if stop:
                raise Interrupted(self.step, self.options.steps, request.received or signal.SIGTERM)

    def stop_if_asked(self, request: StopRequest) -> None:
        """Raises: Interrupted if a signal came to any worker."""
        if self._anyone_asked_to_stop(request):
            raise Interrupted(self.step, self.options.steps, request.received or signal.SIGTERM)

    def finish(self, seed: int) -> TrainResult:
        """Saves the weights (averaged if asked for) and the result."""
        self.state.average.swap()
        lines = read_metrics(self.directory / "metrics.jsonl")
        result = TrainResult(
            steps=self.step,
            digest=weights_digest(self.state.model),
            seconds=round(self._seconds(), 3),
            metrics=lines[-1] if lines else {},
            options=asdict(self.options) | {"seed": seed},
        )
        if self.chief:
            with writing(self.directory):
                result = write_result(self.state.model, result, self.directory)
        self._sum_over_workers(0.0)
        return result

    def _some_steps(self) -> None:
        """Calls the compiled function once: up to the next border, or for about half a second."""
        every = (self.options.log_every, self.options.checkpoint_every, self.options.summary_every)
        border = min(self.options.steps, *((self.step // each + 1) * each for each in every))
        # Workers must agree on the number without asking each other.
        most = STEPS_PER_CALL_OF_WORKERS if self.workers > 1 else int(SECONDS_PER_CALL / self._seconds_per_step)
        count = min(border - self.step, max(most, 1))
        began = time.monotonic()
        done, self.sums, terms = self._run_steps(
            self._batches, tf.constant(self.step, tf.int64), tf.constant(count, tf.int64), self.sums
        )
        self.step, self.summed = self.step + int(done), self.summed + int(done)
        self._check_finite(terms.numpy())
        self._seconds_per_step = max((time.monotonic() - began) / count, 1e-4)

    def _check_finite(self, terms: np.ndarray) -> None:
        bad = [name for name, value in zip(self.state.term_names, terms, strict=True) if not np.isfinite(value)]
        if bad:
            shown = ", ".join(f"{n}={v:g}" for n, v in zip(self.state.term_names, terms, strict=True))
            raise UserError(
                f"Training step {self.step} gave {' and '.join(bad)} not finite ({shown}); the checkpoints before it "
                "are intact: lower --learning_rate or set --clip_norm, and start in another work folder."
            )

    def _log(self, log: MetricsLog) -> None:
        last, since = self._logged
        now = time.monotonic()
        means = (self.sums / self.summed).numpy().astype(float)
        self._metrics = dict(zip(self.state.term_names, means.tolist(), strict=True))
        rate = float(learning_rate(self.options, tf.constant(self.step - 1)))
        times = {"seconds": self._seconds(), "steps_per_second": (self.step - last) / max(now - since, 1e-9)}
        with writing(self.directory / "metrics.jsonl"):
            log.write(self.step, self._metrics | {"learning_rate": rate} | {n: round(t, 3) for n, t in times.items()})
        self.sums, self.summed = tf.zeros_like(self.sums), 0
        self._logged = (self.step, now)

    def _summarize(self, log: MetricsLog) -> None:
        if not self.chief or self.summarize is None:
            return
        self.state.average.swap()
        with log.writer.as_default(step=self.step):
            self.summarize(self.state.model, self.step, log.writer)
        self.state.average.swap()

    def _checkpoint(self) -> None:
        if not self.chief:
            return
        variables = self.state.variables()
        self._check_weights_finite(variables)
        sums = tuple(self.sums.numpy().tolist())
        self.checkpoints.save(variables, Position(self.step, self._seconds(), sums, self.summed))

    def _check_weights_finite(self, variables: Mapping[str, tf.Variable]) -> None:
        for name, variable in variables.items():
            if variable.dtype.is_floating and not bool(tf.reduce_all(tf.math.is_finite(variable))):
                raise UserError(
                    f"After training step {self.step} the variable {name} (shape {tuple(variable.shape)}) is not "
                    "finite; the checkpoints before it are intact: lower --learning_rate or set --clip_norm."
                )

    def _seconds(self) -> float:
        return self._seconds_before + time.monotonic() - self._started

    def _anyone_asked_to_stop(self, request: StopRequest) -> bool:
        return self._sum_over_workers(float(request.received is not None)) > 0

    def _check_same_start(self) -> None:
        if self._sum_over_workers(self.step) != self.step * self.workers:
            raise UserError(
                f"This worker would start after step {self.step}, another one elsewhere; "
                "all workers need the same, shared work folder."
            )

    def _sum_over_workers(self, value: float) -> float:
        """The sum of one number over the workers; also a place where they wait for each other."""
        if self.workers == 1:
            return value
        summed = self._sum_over_replicas(tf.constant(value))
        return float(summed) * self.workers / self.strategy.num_replicas_in_sync

    @tf.function(autograph=False)
    def _sum_over_replicas(self, value: tf.Tensor) -> tf.Tensor:
        # The copy is made on each replica's device, which is where the sum is asked for.
        copies = self.strategy.run(tf.identity, args=(value,))
        return self.strategy.reduce(tf.distribute.ReduceOp.SUM, copies, axis=None)


def _build(model: keras.Model, batches: Batches, options: TrainingOptions, strategy: Any) -> list[str]:
    """Creates the model's variables by a look at one example, and returns the names of its loss terms."""
    replicas = strategy.num_replicas_in_sync
    dataset = batches(batch_size=options.batch_size, start_step=0, num_shards=replicas, shard=0)
    example = {name: value[:1] for name, value in next(iter(dataset)).items()}
    return list(model.loss_terms(example, training=False))


def _distribute(batches: Batches, batch_size: int, start_step: int, strategy: Any) -> Iterator[Any]:
    """An iterator over the batches; each worker reads its own rows and splits them over its replicas."""
    replicas = strategy.num_replicas_in_sync

    def of_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
        dataset = batches(
            batch_size=batch_size,
            start_step=start_step,
            num_shards=context.num_input_pipelines,
            shard=context.input_pipeline_id,
        )
        local = replicas // context.num_input_pipelines
        return dataset.rebatch(batch_size // replicas).prefetch(local) if local > 1 else dataset

    return iter(strategy.distribute_datasets_from_function(of_worker))


def _num_workers(strategy: tf.distribute.Strategy) -> int:
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return 1
    return max(len(strategy.cluster_resolver.cluster_spec().as_dict().get("worker", [])), 1) + (
        "chief" in strategy.cluster_resolver.cluster_spec().jobs
    )


def _check_sizes(options: TrainingOptions, strategy: tf.distribute.Strategy) -> None:
    replicas = strategy.num_replicas_in_sync
    if options.batch_size % replicas:
        raise UserError(
            f"--batch_size={options.batch_size} was given, but {replicas} replicas share it equally; "
            f"use a multiple of {replicas}."
        )
    if options.jit and replicas > 1:
        raise UserError(f"--jit compiles for one replica, but there are {replicas}; leave it out.")
