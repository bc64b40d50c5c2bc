"""The stages of a run: what each reads, checks and writes. Every stage does nothing when its result is there."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import tensorflow as tf

from vq_vae_tf.build_options import prior_options, vqvae_options
from vq_vae_tf.build_quantizer import check_quantizer
from vq_vae_tf.codes import MANIFEST, CodeData, CodeManifest, open_codes
from vq_vae_tf.config import Config
from vq_vae_tf.errors import UserError
from vq_vae_tf.pipeline.coding import check_searchable, coder, drawer
from vq_vae_tf.pipeline.loading import drawn_at, load_prior, load_vqvae, model_digests, shown_vectors, trained
from vq_vae_tf.pipeline.modality import CodeOf
from vq_vae_tf.pipeline.run import Run, start_run
from vq_vae_tf.pipeline.scoring import measured
from vq_vae_tf.pipeline.starting import beginning
from vq_vae_tf.pipeline.unpacking import exported_config
from vq_vae_tf.quantizers.codings import draws_codes
from vq_vae_tf.serving.export import METADATA
from vq_vae_tf.serving.versions import new_version
from vq_vae_tf.training.loop import train
from vq_vae_tf.training.result import read_result
from vq_vae_tf.training.source import check_source, claim_source
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
    vqvae_options(config), prior_options(config)  # wrong ones are refused before any work
    check_quantizer(config)
    if "export" in names:
        new_version(config.run.workdir, config.export.export_name, None)
    strategy = make_strategy(config.run.strategy)
    run = start_run(config)
    if "evaluate" in names:
        run.scored_split()
    stages: dict[str, Callable[[], str]] = {
        "vqvae": lambda: train_vqvae(run, strategy),
        "codes": lambda: encode_data(run),
        "prior": lambda: train_prior(run, strategy),
        "evaluate": lambda: evaluate(run),
        "sample": lambda: run.modality.sample(run),
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
    data, config, finished = run.data, run.config, read_result(run.vqvae) is not None
    if not finished:
        check_batch(config.training.batch_size, data.sizes["train"], "--batch_size")
    if is_chief(strategy):
        run.note()
    begin = beginning(run, "vqvae")

    def started() -> Any:
        vqvae = run.modality.build_vqvae(config, data, config.run.precision)
        if said := begin(vqvae):
            tell(f"vqvae: {said}")
        return vqvae

    result = train(
        started,
        lambda **where: data.training_batches(seed=config.run.seed, augment=config.data.augment, **where),
        vqvae_options(config),
        run.vqvae,
        seed=config.run.seed,
        strategy=strategy,
        summarize=run.modality.summaries(data),
        title="VQ-VAE",
    )
    return _trained(result.steps, run.vqvae, finished)


def encode_data(run: Run, mend: bool = False) -> str:
    """Encodes every split: vqvae/ -> codes/. Raises: UserError for damaged codes, unless `mend`: then it tells."""
    digest = trained(run.vqvae, "vqvae").digest
    if (run.codes / MANIFEST).exists():
        try:
            run.modality.check_codes(open_codes(run.codes, digest))
            return f"already in {run.codes}"
        except UserError as error:
            if not mend:
                raise
            tell(f"codes: {error}")
    vqvae, digest = load_vqvae(run)
    # A prior over the codes of a VQ-VAE that was trained with drawn ones has to know how they are spread.
    code_of = drawer(vqvae) if draws_codes(vqvae.quantizer) else None
    return _counted(run.modality.write_codes(vqvae, digest, run.data, run.codes, code_of), run.codes)


def encode_other(run: Run, dataset: str, output: str) -> str:
    """Encodes another data set with the run's VQ-VAE into the folder `output`, by its --search_ flags.

    Raises: UserError.
    """
    if not output:
        raise UserError("--input was given without --output; say which folder the codes go to.")
    if (Path(output) / MANIFEST).exists():
        raise UserError(f"--output={output} holds codes already; give another folder.")
    data = run.modality.open_other(run, dataset)
    vqvae, digest = load_vqvae(run)
    code_of = _searching(run, vqvae) if run.config.evaluation.search_candidates else None
    return _counted(run.modality.write_codes(vqvae, digest, data, Path(output), code_of), output)


def _searching(run: Run, vqvae: VQVAE) -> CodeOf:
    prior = load_prior(run) if run.config.evaluation.search_rate_weight else None
    check_searchable(run, prior)
    if prior is not None and prior.network.num_labels:
        raise UserError(
            f"The prior of {run.directory} wants to know each picture's class; leave --search_rate_weight out, or "
            "train one with --prior_labels=false."
        )
    return coder(run, vqvae, prior)


def _counted(manifest: CodeManifest, directory: str | Path) -> str:
    return f"{sum(s['num_examples'] for s in manifest.splits.values())} examples encoded into {directory}"


def train_prior(run: Run, strategy: tf.distribute.Strategy) -> str:
    """Trains the prior: codes/ -> prior/model.weights.h5, result.json."""
    config, codes, finished = run.config, wait_for_codes(run, strategy), read_result(run.prior) is not None
    check_batch(config.prior.prior_batch_size, codes.sizes["train"], "--prior_batch_size")
    check_source(run.prior, codes.manifest.model_digest)
    start = _prior_start(run, is_chief(strategy))

    def started() -> Any:
        prior = run.modality.build_prior(config, codes.manifest, config.run.precision)
        start(prior)
        claim_source(run.prior, codes.manifest.model_digest, write=is_chief(strategy))  # nothing is refused any more
        return prior

    result = train(
        started,
        lambda **where: run.modality.prior_batches(config, codes, config.run.seed + 1, **where),
        prior_options(config),
        run.prior,
        seed=config.run.seed + 1,
        strategy=strategy,
        title="prior",
    )
    told = (_trained(result.steps, run.prior, finished), run.modality.beside_prior(run, codes, strategy))
    return "; ".join(filter(None, told))


def _trained(steps: int, directory: Path, before: bool) -> str:
    return f"already in {directory}" if before else f"trained for {steps} steps, weights in {directory}"


def _prior_start(run: Run, chief: bool) -> Callable[[Any], None]:
    """What a new prior starts from beside chance: what its codes look like, and the prior of --start_from."""
    if read_result(run.prior):
        return lambda prior: None
    begin, vectors = beginning(run, "prior"), run.config.prior.prior_vectors
    show = shown_vectors(run) if vectors else run.modality.prior_start(run, chief)

    def start(prior: Any) -> None:
        if not vectors:  # what was learned of the look of codes is more than the look
            show(prior)
        if said := begin(prior):
            tell(f"prior: {said}")
        if vectors:  # the codebook of this run, whatever was learned over another's
            show(prior)

    return start


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
    """Scores the evaluation split, unless these very models have been so: vqvae/, codes/, prior/ -> evaluation.json."""
    with suppress(OSError, ValueError):  # a damaged one says nothing of anything
        scores = json.loads(run.evaluation.read_text(encoding="utf-8"))
        if run.report.exists() and scores.get("measured") == measured(run):
            return f"already in {run.evaluation}"
    return run.modality.evaluate(run)


def export(run: Run) -> str:
    """Exports what serving needs, unless this very model has been: vqvae/, prior/ -> a verified SavedModel."""
    digests = model_digests(run)
    for path in sorted((run.exports / run.config.export.export_name).glob(f"*/{METADATA}")):
        with suppress(ValueError, UserError):  # a damaged one is of no model that is known
            same = json.loads(path.read_text(encoding="utf-8")).get("digests") == digests
            if same and drawn_at(exported_config(path.parents[1])) == drawn_at(run.config):
                return f"already in {path.parents[1]}"
    return write_export(run)


def write_export(run: Run) -> str:
    """Writes a new version folder with the SavedModel; returns what to tell the user."""
    return f"verified SavedModel in {run.modality.export(run)}"
