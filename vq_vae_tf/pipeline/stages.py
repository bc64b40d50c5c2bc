"""The stages of a run: what each reads, checks and writes. Every stage does nothing when its result is there."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from vq_vae_tf import build, version
from vq_vae_tf import config as config_lib
from vq_vae_tf.codes import MANIFEST, CodeData, open_codes, write_codes
from vq_vae_tf.config import Config
from vq_vae_tf.errors import UserError
from vq_vae_tf.evaluation.reconstruction import data_variance
from vq_vae_tf.modalities.image.data import ImageData, open_image_data
from vq_vae_tf.pipeline.loading import load_prior, load_vqvae, trained
from vq_vae_tf.pipeline.run import Run, start_run
from vq_vae_tf.pipeline.sampling import Draw, draw_classes, trained_pair, write_grid
from vq_vae_tf.pipeline.scoring import evaluate_run
from vq_vae_tf.pipeline.summaries import vqvae_summaries
from vq_vae_tf.serving.export import METADATA, export_image_model
from vq_vae_tf.training.loop import train
from vq_vae_tf.training.result import read_result
from vq_vae_tf.training.strategies import is_chief, make_strategy

STAGES = ("vqvae", "codes", "prior", "evaluate", "sample", "export")


def stage_names(stages: str) -> tuple[str, ...]:
    """The stages that `--stages` names, in their order. Raises: UserError for an unknown one."""
    if stages == "all":
        return STAGES
    asked = [name.strip() for name in stages.split(",") if name.strip()]
    unknown = [name for name in asked if name not in STAGES]
    if unknown or not asked:
        raise UserError(f"--stages={stages} is not known; give `all` or some of {','.join(STAGES)}.")
    return tuple(name for name in STAGES if name in asked)


def run_stages(config: Config) -> Run:
    """Runs the stages that the config asks for, in order, and says on stderr what each one did."""
    names = stage_names(config.run.stages)
    build.vqvae_options(config), build.prior_options(config)  # wrong ones are refused before any work
    strategy = make_strategy(config.run.strategy)
    run = start_run(config, lambda run: data_variance(run.data.examples("train", 1000)))
    stages: dict[str, Callable[[], str]] = {
        "vqvae": lambda: train_vqvae(run, strategy),
        "codes": lambda: encode_data(run),
        "prior": lambda: train_prior(run, strategy),
        "evaluate": lambda: evaluate(run),
        "sample": lambda: sample(run),
        "export": lambda: export(run),
    }
    for name in names:
        if name in ("vqvae", "prior") or is_chief(strategy):
            started = time.time()
            message = stages[name]()
            tell(f"{name}: {message} ({time.time() - started:.0f} s)")
    return run


def tell(message: str) -> None:
    """One line for the person at the terminal."""
    print(message, file=sys.stderr, flush=True)


def train_vqvae(run: Run, strategy: tf.distribute.Strategy) -> str:
    """Trains the VQ-VAE: data -> vqvae/model.weights.h5, result.json."""
    data, config = run.data, run.config
    if read_result(run.vqvae) is None:
        check_batch(config.training.batch_size, data.sizes["train"], "--batch_size")
    result = train(
        lambda: build.build_vqvae(config, data.image_shape, config.run.precision),
        lambda **where: data.training_batches(seed=config.run.seed, augment=config.data.augment, **where),
        build.vqvae_options(config),
        run.vqvae,
        seed=config.run.seed,
        strategy=strategy,
        summarize=vqvae_summaries(data),
        title="VQ-VAE",
    )
    return f"trained for {result.steps} steps, weights in {run.vqvae}"


def encode_data(run: Run) -> str:
    """Encodes every split: vqvae/ -> codes/."""
    digest = trained(run.vqvae, "vqvae").digest
    if (run.codes / MANIFEST).exists():
        open_codes(run.codes, digest)
        return f"already in {run.codes}"
    return write_data_codes(run, run.data, run.codes)


def encode_other(run: Run, dataset: str, output: str) -> str:
    """Encodes another data set with the run's VQ-VAE into the folder `output`. Raises: UserError."""
    if not output:
        raise UserError("--input was given without --output; say which folder the codes go to.")
    if (Path(output) / MANIFEST).exists():
        raise UserError(f"--output={output} holds codes already; give another folder.")
    height, width, _ = run.data.image_shape
    if height != width:
        raise UserError(f"The run's images are {height}x{width}; --input can be resized to squares only.")
    data = run.config.data
    return write_data_codes(run, open_image_data(dataset, data.data_dir or None, image_size=height), Path(output))


def write_data_codes(run: Run, data: ImageData, directory: Path) -> str:
    """Encodes every split of `data` into `directory`; returns what to tell the user."""
    vqvae, digest = load_vqvae(run)
    encode = tf.function(lambda batch: vqvae.encode(batch["x"]), reduce_retracing=True, autograph=False)
    splits = {split: _encoded(encode, data.examples(split, 500)) for split, size in data.sizes.items() if size}
    z_shape = vqvae.encoder.compute_output_shape((None, *data.image_shape))
    manifest = write_codes(
        directory,
        splits,
        num_codes=vqvae.quantizer.num_codes,
        code_shape=tuple(vqvae.quantizer.code_shape(tuple(z_shape[1:]))),
        num_codebooks=vqvae.quantizer.num_codebooks,
        class_names=data.class_names,
        model_digest=digest,
    )
    return f"{sum(s['num_examples'] for s in manifest.splits.values())} examples encoded into {directory}"


def _encoded(encode: Callable[[Any], Any], batches: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for batch in batches:
        yield {"codes": encode(batch).numpy()} | {k: v.numpy() for k, v in batch.items() if k == "label"}


def train_prior(run: Run, strategy: tf.distribute.Strategy) -> str:
    """Trains the prior: codes/ -> prior/model.weights.h5, result.json."""
    config, codes = run.config, wait_for_codes(run, strategy)
    check_batch(config.prior.prior_batch_size, codes.sizes["train"], "--prior_batch_size")
    result = train(
        lambda: build.build_prior(config, codes.manifest, config.run.precision),
        lambda **where: codes.training_batches(seed=config.run.seed + 1, **where),
        build.prior_options(config),
        run.prior,
        seed=config.run.seed + 1,
        strategy=strategy,
        title="prior",
    )
    return f"trained for {result.steps} steps, weights in {run.prior}"


def wait_for_codes(run: Run, strategy: tf.distribute.Strategy) -> CodeData:
    """The codes of this run's VQ-VAE; workers other than the chief wait until it has written them."""
    while not is_chief(strategy) and not (run.codes / MANIFEST).exists():
        time.sleep(1.0)
    return open_codes(run.codes, trained(run.vqvae, "vqvae").digest)


def check_batch(batch_size: int, examples: int, flag: str) -> None:
    """Raises: UserError if a batch holds more examples than there are."""
    if batch_size > examples:
        raise UserError(f"{flag}={batch_size} is more than the {examples} training examples; give at most {examples}.")


def evaluate(run: Run) -> str:
    """Scores the evaluation split: vqvae/, codes/, prior/ -> evaluation.json, report.html."""
    vqvae, digest = load_vqvae(run)
    prior = load_prior(run)
    codes = open_codes(run.codes, digest) if (run.codes / MANIFEST).exists() else None
    draw = Draw(run.config.run.seed, run.config.evaluation.temperature)
    classes = draw_classes(run, vqvae, prior, draw) if prior is not None else {}
    scores = evaluate_run(run, vqvae, prior, codes, classes)
    parts = [f"normalised MSE {scores['normalised_mse']:.4f}", f"perplexity {scores['perplexity']:.1f}"]
    if prior is not None:
        parts.append(f"prior {scores['prior_bits_per_code']:.3f} bits/code")
    return f"{', '.join(parts)}; open {run.report}"


def sample(run: Run) -> str:
    """Draws pictures: vqvae/, prior/ -> samples/samples.png, a row a class."""
    path = run.samples / "samples.png"
    if path.exists():
        return f"already in {path}"
    vqvae, prior = trained_pair(run)
    classes = draw_classes(run, vqvae, prior, Draw(run.config.run.seed, run.config.evaluation.temperature))
    write_grid(path, classes, run.config.evaluation.samples_per_class)
    return f"{sum(map(len, classes.values()))} pictures in {path}"


def export(run: Run) -> str:
    """Exports what serving needs, unless this very model has been: vqvae/, prior/ -> a verified SavedModel."""
    digests = model_digests(run)
    for path in sorted((run.exports / run.config.export.export_name).glob(f"*/{METADATA}")):
        if json.loads(path.read_text(encoding="utf-8")).get("digests") == digests:
            return f"already in {path.parents[1]}"
    return write_export(run)


def model_digests(run: Run) -> dict[str, str]:
    """The digests of the weights that an export of this run holds."""
    digests = {"vqvae": trained(run.vqvae, "vqvae").digest}
    if read_result(run.prior) is not None:
        digests["prior"] = trained(run.prior, "prior").digest
    return digests


def write_export(run: Run) -> str:
    """Writes a new version folder with the SavedModel; returns what to tell the user."""
    vqvae, _ = load_vqvae(run)
    first = next(iter(run.data.examples("test" if run.data.sizes.get("test") else "train", 8)))
    scores = json.loads(run.evaluation.read_text(encoding="utf-8")) if run.evaluation.exists() else {}
    settings = config_lib.to_values(run.config)
    path = export_image_model(
        vqvae,
        load_prior(run),
        run.exports,
        run.config.export.export_name,
        version=run.config.export.export_version or None,
        images=first["x"].numpy(),
        labels=first["label"].numpy() if "label" in first else None,
        metadata={
            "package_version": version.VERSION,
            "dataset": run.data.name,
            "class_names": list(run.data.class_names),
            "digests": model_digests(run),
            "config": {
                name: value for name, value in settings.items() if name not in ("workdir", "data_dir", "export_dir")
            },
            "evaluation": scores,
        },
    )
    return f"verified SavedModel in {path}"
