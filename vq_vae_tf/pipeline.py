"""The stages of a run: what each reads, checks and writes. Every stage does nothing when its result is there."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from vq_vae_tf import build, version
from vq_vae_tf import config as config_lib
from vq_vae_tf.codes import MANIFEST, CodeData, open_codes, write_codes
from vq_vae_tf.config import Config
from vq_vae_tf.errors import UserError
from vq_vae_tf.evaluation.grids import grid_png
from vq_vae_tf.evaluation.reconstruction import data_variance
from vq_vae_tf.files import replacing
from vq_vae_tf.prior import Prior
from vq_vae_tf.run import Run, start_run
from vq_vae_tf.scoring import evaluate_run
from vq_vae_tf.serving.export import export_image_model
from vq_vae_tf.training.digest import weights_digest
from vq_vae_tf.training.loop import train
from vq_vae_tf.training.strategies import is_chief, make_strategy
from vq_vae_tf.vqvae import VQVAE

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
    if not (run.vqvae / "result.json").exists():
        check_batch(config.training.batch_size, data.sizes["train"], "--batch_size")
    result = train(
        lambda: build.build_vqvae(config, data.image_shape, config.run.precision),
        lambda **where: data.training_batches(seed=config.run.seed, augment=config.data.augment, **where),
        build.vqvae_options(config),
        run.vqvae,
        seed=config.run.seed,
        strategy=strategy,
        title="VQ-VAE",
    )
    return f"trained for {result.steps} steps, weights in {run.vqvae}"


def encode_data(run: Run) -> str:
    """Encodes every split: vqvae/ -> codes/."""
    vqvae, digest = load_vqvae(run)
    if (run.codes / MANIFEST).exists():
        open_codes(run.codes, digest)
        return f"already in {run.codes}"
    data = run.data
    encode = tf.function(lambda batch: vqvae.encode(batch["x"]))
    splits = {split: _encoded(encode, data.examples(split, 500)) for split, size in data.sizes.items() if size}
    z_shape = vqvae.encoder.compute_output_shape((None, *data.image_shape))
    manifest = write_codes(
        run.codes,
        splits,
        num_codes=vqvae.quantizer.num_codes,
        code_shape=tuple(vqvae.quantizer.code_shape(tuple(z_shape[1:]))),
        num_codebooks=vqvae.quantizer.num_codebooks,
        class_names=data.class_names,
        model_digest=digest,
    )
    return f"{sum(s['num_examples'] for s in manifest.splits.values())} examples encoded into {run.codes}"


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
    return open_codes(run.codes, trained(run.vqvae, "vqvae")["digest"])


def check_batch(batch_size: int, examples: int, flag: str) -> None:
    """Raises: UserError if a batch holds more examples than there are."""
    if batch_size > examples:
        raise UserError(f"{flag}={batch_size} is more than the {examples} training examples; give at most {examples}.")


def trained(directory: Path, stage: str) -> dict[str, Any]:
    """What training wrote of its result. Raises: UserError if it has not finished or the file is damaged."""
    path = directory / "result.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{directory} has no finished training; run bin/train with --stages={stage} first.") from None
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}); remove it and run bin/train again.") from error


def load_vqvae(run: Run) -> tuple[VQVAE, str]:
    """The trained VQ-VAE in float32 and the digest of its weights."""
    digest = trained(run.vqvae, "vqvae")["digest"]
    build.clear_session(run.config.run.seed)
    model = build.build_vqvae(run.config, run.data.image_shape)
    return load_weights(model, run.vqvae / "model.weights.h5", digest), digest


def load_prior(run: Run) -> Prior | None:
    """The trained prior in float32; None if the run has none."""
    if not (run.prior / "result.json").exists():
        return None
    codes = open_codes(run.codes, trained(run.vqvae, "vqvae")["digest"])
    model = build.build_prior(run.config, codes.manifest)
    return load_weights(model, run.prior / "model.weights.h5", trained(run.prior, "prior")["digest"])


def load_weights(model: Any, path: Path, digest: str) -> Any:
    """Loads weights and proves that they are those that training wrote. Raises: UserError naming the file."""
    try:
        model.load_weights(path)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{path} cannot be read ({str(error).splitlines()[0]}); restore it or train again.") from error
    if weights_digest(model) != digest:
        raise UserError(f"{path} is not what training wrote (its digest differs); restore it or train again.")
    return model


def evaluate(run: Run) -> str:
    """Scores the evaluation split: vqvae/, codes/, prior/ -> evaluation.json, report.html."""
    vqvae, digest = load_vqvae(run)
    prior = load_prior(run)
    codes = open_codes(run.codes, digest) if (run.codes / MANIFEST).exists() else None
    classes = draw_samples(run, vqvae, prior, per_class=8) if prior is not None else {}
    scores = evaluate_run(run, vqvae, prior, codes, classes)
    parts = [f"normalised MSE {scores['normalised_mse']:.4f}", f"perplexity {scores['perplexity']:.1f}"]
    if prior is not None:
        parts.append(f"prior {scores['prior_bits_per_code']:.3f} bits/code")
    return f"{', '.join(parts)}; open {run.report}"


def draw_samples(run: Run, vqvae: VQVAE, prior: Prior, per_class: int, seed: int | None = None) -> dict[str, np.ndarray]:
    """Class name ("" without classes) -> sampled images, uint8 `[per_class, height, width, channels]`."""
    names = run.data.class_names if prior.num_labels else ("",)
    names = names[:10]
    labels = tf.repeat(tf.range(len(names), dtype=tf.int32), per_class)
    condition = {"label": labels} if prior.num_labels else None
    temperature = run.config.evaluation.temperature

    @tf.function(jit_compile=True)
    def draw() -> tf.Tensor:
        return prior.sample(len(names) * per_class, seed if seed is not None else run.config.run.seed, condition, temperature)

    images = np.clip(np.rint(np.asarray(vqvae.decode(draw()))), 0, 255).astype(np.uint8)
    return {name: images[i * per_class : (i + 1) * per_class] for i, name in enumerate(names)}


def sample(run: Run) -> str:
    """Draws pictures: vqvae/, prior/ -> samples/samples.png, a row a class."""
    path = run.samples / "samples.png"
    if path.exists():
        return f"already in {path}"
    prior = load_prior(run)
    if prior is None:
        raise UserError(f"{run.directory} has no trained prior to sample from; run bin/train with --stages=prior first.")
    vqvae, _ = load_vqvae(run)
    classes = draw_samples(run, vqvae, prior, run.config.evaluation.samples_per_class)
    images = np.concatenate(list(classes.values()))
    with replacing(path) as partial:
        partial.write_bytes(grid_png(images, columns=max(1, min(len(images), run.config.evaluation.samples_per_class)), factor=2))
    return f"{len(images)} pictures in {path}"


def export(run: Run) -> str:
    """Exports what serving needs: vqvae/, prior/ -> a verified SavedModel in a version folder of its own."""
    vqvae, digest = load_vqvae(run)
    prior = load_prior(run)
    first = next(iter(run.data.examples("test" if run.data.sizes.get("test") else "train", 8)))
    scores = json.loads(run.evaluation.read_text(encoding="utf-8")) if run.evaluation.exists() else {}
    path = export_image_model(
        vqvae,
        prior,
        run.exports,
        run.config.export.export_name,
        run.config.export.export_version or None,
        metadata={
            "package_version": version.VERSION,
            "dataset": run.data.name,
            "class_names": list(run.data.class_names),
            "digest": digest,
            "config": config_lib.to_values(run.config),
            "evaluation": scores,
        },
        images=first["x"].numpy(),
    )
    return f"verified SavedModel in {path}"
