"""Every number of a run, measured on a whole split, and the page that shows them."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from vq_vae_tf import config as config_lib
from vq_vae_tf import version
from vq_vae_tf.codes import CodeData
from vq_vae_tf.disk import writing
from vq_vae_tf.evaluation.codebook import CodebookUse, code_counts, codebook_use
from vq_vae_tf.evaluation.grids import beside_grid, encode_png, upscale
from vq_vae_tf.evaluation.image_report import ImageRun, compression_ratio, image_report
from vq_vae_tf.evaluation.likelihood import (
    Bound,
    LikelihoodScores,
    likelihood_scores,
    with_drawn_codes,
    with_shuffled_codes,
    without_codes,
)
from vq_vae_tf.evaluation.prior import PriorScores, prior_scores
from vq_vae_tf.evaluation.reconstruction import ReconstructionScores, as_served, reconstruction_scores
from vq_vae_tf.evaluation.report import Report, Section, write_report
from vq_vae_tf.evaluation.sections import configuration_section, training_sections
from vq_vae_tf.files import replacing, write_json
from vq_vae_tf.pipeline.coding import check_searchable
from vq_vae_tf.pipeline.decoding import DRAWN, decoder, draws
from vq_vae_tf.pipeline.loading import drawn_at, model_digests
from vq_vae_tf.pipeline.run import Run
from vq_vae_tf.pipeline.searching import score_searched
from vq_vae_tf.prior import Prior
from vq_vae_tf.progress import shown
from vq_vae_tf.quantizers.codings import draws_codes
from vq_vae_tf.training.log import read_metrics
from vq_vae_tf.training.result import read_result
from vq_vae_tf.vqvae import VQVAE

SHOWN = 32
"""Originals and reconstructions in the report."""


def evaluate_run(
    run: Run, vqvae: VQVAE, prior: Prior | None, codes: CodeData | None, samples: Mapping[str, np.ndarray]
) -> dict[str, Any]:
    """Scores the evaluation split; writes and returns evaluation.json; writes report.html and reconstructions.png.

    Raises:
        UserError: if the split is empty, or what it writes cannot be written.
    """
    split, size = run.scored_split(), run.config.evaluation.eval_batch_size
    check_searchable(run, prior)
    encode = tf.function(lambda batch: {"codes": vqvae.encode(batch["x"])}, reduce_retracing=True, autograph=False)

    def batches(title: str, most: int | None = None) -> Iterator[Mapping[str, Any]]:
        count = -(-(most or run.data.sizes[split]) // size)
        return shown(run.data.examples(split, size).take(count), f"evaluate: {title}", count)

    def reconstruct(batch: Mapping[str, Any]) -> tf.Tensor:
        return decoder(vqvae)(encode(batch)["codes"])

    most = min(DRAWN, run.data.sizes[split]) if draws(vqvae) else None
    seen = batches("reconstructions", most)
    reconstruction = reconstruction_scores(reconstruct, seen, run.config.model.data_variance)
    quantizer = vqvae.quantizer
    counts = code_counts((encode(b) for b in batches("codes")), quantizer.num_codes, quantizer.num_codebooks)
    prior_score = measure_prior(prior, codes, split, size) if prior is not None and codes is not None else None
    bounds = _bounds(vqvae, prior, batches, run.config.evaluation.iw_samples)
    searched = score_searched(run, vqvae, prior, SHOWN) if run.config.evaluation.search_candidates else None
    first = itertools.islice(run.data.examples(split, size), 1 + SHOWN // size)
    x = np.concatenate([b["x"].numpy() for b in first])[:SHOWN]
    page = ImageRun(
        name=run.directory.name,
        dataset=run.data.name,
        split=split,
        num_codes=quantizer.num_codes,
        code_shape=tuple(encode({"x": x})["codes"].shape[1:]),
        counts=counts,
        reconstruction=reconstruction,
        originals=x,
        reconstructions=as_served(reconstruct({"x": x})),
        likelihood=bounds,
        prior=prior_score,
        searched=searched,
        samples=samples,
        metrics=_metrics(run),
        settings=_settings(run),
        facts=page_facts(run),
    )
    scores = _scores(page)
    picture = upscale(beside_grid([page.originals, page.reconstructions], columns=8), 2)
    write_scores(run, scores, image_report(page), {run.reconstructions: encode_png(picture)})
    return scores


def check_writable(run: Run) -> None:
    """Raises: UserError if the run's folder is read-only or its disk full, before an hour of scoring says so."""
    with writing(run.directory), tempfile.TemporaryFile(dir=run.directory) as file:
        file.write(bytes(4096))


def write_scores(
    run: Run, scores: Mapping[str, Any], report: Report, pictures: Mapping[Path, bytes] | None = None
) -> None:
    """Writes evaluation.json, report.html and the PNG files `pictures`, so that they belong together.

    Raises: UserError that names the file that could not be written.
    """
    with ExitStack() as files:  # renamed in reverse once all are whole: new numbers never stand beside an old page
        write_json(files.enter_context(_replacing(run.evaluation)), {**scores, "measured": measured(run)})
        write_report(files.enter_context(_replacing(run.report)), report)
        for path, content in (pictures or {}).items():
            files.enter_context(_replacing(path)).write_bytes(content)


def measured(run: Run) -> dict[str, Any]:
    """What scores are of: the digests of the weights, the flags of evaluation, and how codes are drawn, if they are."""
    drawn = {"drawn_at": at} if (at := drawn_at(run.config)) else {}
    digests = model_digests(run)
    if (beside := read_result(run.foresight)) is not None:
        digests["foresight"] = beside.digest
    flags = asdict(run.config.evaluation)
    if run.config.data.modality == "video":
        flags["future_frames"] = run.config.video.future_frames
    return {"digests": digests, "flags": flags, **drawn}


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    with writing(path), replacing(path) as beside:
        yield beside


def measure_prior(prior: Prior, codes: CodeData, split: str, size: int) -> PriorScores:
    """Bits per code of a split under the prior."""

    def log_prob(batch: dict[str, tf.Tensor]) -> tf.Tensor:
        return prior.log_prob(batch["codes"], {"label": batch["label"]} if prior.network.num_labels else None)

    compiled = tf.function(log_prob, reduce_retracing=True, autograph=False)
    manifest = codes.manifest
    return prior_scores(compiled, codes.examples(split, size), manifest.num_codes, manifest.num_codebooks)


def _bounds(vqvae: VQVAE, prior: Prior | None, batches: Any, iw_samples: int) -> dict[str, LikelihoodScores]:
    """Name of the bound -> scores; with a quantizer that draws codes, `uniform_drawn` and `learned_drawn` stand beside;
    with codings summed over, also `uniform_iw8` and the like, or `uniform_drawn_iw8`: the nearest ones bound worse."""
    elbos: dict[str, Bound] = {}
    priors = {"uniform": None} if prior is None else {"uniform": None, "learned": prior}
    drawing = draws_codes(vqvae.quantizer)
    for count in sorted({1, iw_samples}):
        for name, p in priors.items():
            several = f"_iw{count}" * (count > 1)
            if not several or not drawing:
                elbos[name + several] = partial(vqvae.elbo, prior=p, iw_samples=count)
            if drawing:
                elbos[f"{name}_drawn{several}"] = with_drawn_codes(vqvae, p, count)
    if draws(vqvae):
        elbos["shuffled codes"] = with_shuffled_codes(vqvae)
    if not getattr(vqvae.likelihood, "use_codes", True):
        elbos = {"without codes": without_codes(vqvae)}
    return {
        name: likelihood_scores(tf.function(elbo, reduce_retracing=True, autograph=False), batches(name))
        for name, elbo in elbos.items()
    }


def closing_sections(run: Run) -> list[Section]:
    """What every page ends with: the curves of training, and the flags."""
    return [*training_sections(_metrics(run)), configuration_section(_settings(run))]


def page_facts(run: Run) -> list[str]:
    """The foot of the page."""
    return [f"vq_vae_tf {version.VERSION}, TensorFlow {tf.__version__}", f"seed {run.config.run.seed}"]


def _metrics(run: Run) -> dict[str, list[dict[str, float]]]:
    """Name of a stage -> what training logged; empty where it has not been."""
    return {
        name: read_metrics(folder / "metrics.jsonl")
        for name, folder in (("VQ-VAE", run.vqvae), ("prior", run.prior), ("foresight", run.foresight))
    }


def _settings(run: Run) -> dict[str, dict[str, Any]]:
    """Every setting of a run by the title of its section."""
    sections: dict[str, dict[str, Any]] = {}
    values = config_lib.to_values(run.config)
    for option in config_lib.options():
        sections.setdefault(option.title, {})[option.name] = values[option.name]
    return sections


def _scores(page: ImageRun) -> dict[str, Any]:
    use = codebook_use(page.counts)
    scores: dict[str, Any] = {
        "split": page.split,
        "num_examples": next(iter(page.likelihood.values())).num_examples,
        "reconstructed_examples": page.reconstruction.num_examples,
        **_of_codes(page.reconstruction, use, page.likelihood),
        "unigram_bits_per_code": use.entropy_bits,
        "compression_ratio": compression_ratio(np.asarray(page.originals).shape[1:], page.code_shape, page.num_codes),
    }
    if (found := page.searched) is not None:
        settings = {"candidates": found.candidates, "sweeps": found.sweeps, "rate_weight": found.rate_weight}
        scores["searched"] = settings | _of_codes(found.reconstruction, found.use, found.likelihood)
        if (coded := found.messages) is not None:
            scores["searched"]["message_bits_per_code"] = coded.bits_per_code
            scores["searched"]["message_bytes"] = {
                "limit": coded.limit,
                "longest": coded.longest,
                "images_above": coded.above,
            }
    if page.prior is not None:
        scores["prior_bits_per_code"] = page.prior.bits_per_code
        scores["prior_bits_saved"] = page.prior.saved
    return scores


def _of_codes(
    reconstruction: ReconstructionScores, use: CodebookUse, likelihood: Mapping[str, LikelihoodScores]
) -> dict[str, Any]:
    return {
        "mse": reconstruction.mse,
        "normalised_mse": reconstruction.normalized_mse,
        "psnr": reconstruction.psnr,
        "ssim": reconstruction.ssim,
        "perplexity": use.perplexity,
        "codes_in_use": use.codes_in_use,
        "dead_codes": use.dead_codes,
        "bits_per_dim": {name: asdict(bound) for name, bound in likelihood.items()},
    }
