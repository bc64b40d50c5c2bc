"""Images: the pipeline's side of the modality."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from vq_vae_tf import build
from vq_vae_tf.codes import MANIFEST, open_codes
from vq_vae_tf.config import Config
from vq_vae_tf.errors import UserError
from vq_vae_tf.evaluation.reconstruction import data_variance
from vq_vae_tf.evaluation.report import counted
from vq_vae_tf.modalities.image.data import ImageData, open_image_data
from vq_vae_tf.pipeline.loading import first_stage, load_prior, load_vqvae, trained_pair
from vq_vae_tf.pipeline.metadata import export_metadata
from vq_vae_tf.pipeline.modality import Draw, Modality, SampleRequest
from vq_vae_tf.pipeline.run import Run
from vq_vae_tf.pipeline.sampling import complete_pictures, draw_classes, draw_sweep, write_grid
from vq_vae_tf.pipeline.scoring import check_writable, evaluate_run
from vq_vae_tf.pipeline.summaries import vqvae_summaries
from vq_vae_tf.serving.export import export_image_model
from vq_vae_tf.training.loop import Summarize
from vq_vae_tf.vqvae import VQVAE


class ImageModality(Modality):
    """Pictures `[height, width, channels]`, uint8, in classes or not."""

    sample_flags: ClassVar[tuple[str, ...]] = ("complete", "keep")

    def open_data(self, config: Config) -> ImageData:
        """See `Modality`."""
        return build.open_data(config)

    def facts(self, data: ImageData) -> dict[str, Any]:
        """See `Modality`."""
        return {"name": data.name, "image_shape": data.image_shape, "class_names": data.class_names}

    def known(self, facts: Mapping[str, Any]) -> ImageData:
        """See `Modality`."""
        return ImageData(facts["name"], tuple(facts["image_shape"]), tuple(facts["class_names"]), {})

    def open_other(self, run: Run, dataset: str) -> ImageData:
        """Pictures of another data set, resized to the size of the run's."""
        height, width, channels = run.known.image_shape
        if height != width:
            raise UserError(f"The run's images are {height}x{width}; --input can be resized to squares only.")
        other = open_image_data(dataset, run.config.data.data_dir or None, image_size=height)
        if other.image_shape[-1] != channels:
            raise UserError(
                f"--input={dataset} has {other.image_shape[-1]} channels, the run's images {channels}; give as many."
            )
        return other

    def example_shape(self, data: ImageData) -> tuple[int, ...]:
        """See `Modality`."""
        return data.image_shape

    def build_vqvae(self, config: Config, data: ImageData, precision: str = "float32") -> VQVAE:
        """See `Modality`."""
        if config.model.first_stage:
            return build.build_second_stage(config, first_stage(config, data), data.image_shape, precision)
        return build.build_vqvae(config, data.image_shape, precision)

    def measure_variance(self, data: ImageData) -> float:
        """Of the training pixels on the scale 0..1."""
        return data_variance(data.examples("train", 1000))

    def summaries(self, data: ImageData) -> Summarize:
        """Originals beside reconstructions, and a histogram of their codes."""
        return vqvae_summaries(data)

    def evaluate(self, run: Run) -> str:
        """See `Modality`."""
        check_writable(run)
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

    def sample(self, run: Run) -> str:
        """A row a class: vqvae/, prior/ -> samples/samples.png."""
        path = run.samples / "samples.png"
        if path.exists():
            return f"already in {path}"
        vqvae, prior = trained_pair(run)
        classes = draw_classes(run, vqvae, prior, Draw(run.config.run.seed, run.config.evaluation.temperature))
        write_grid(path, classes, run.config.evaluation.samples_per_class)
        return f"{counted(sum(map(len, classes.values())), 'picture')} in {path}"

    def draw(self, run: Run, request: SampleRequest) -> str:
        """Classes and temperatures, or completions of given pictures as each class."""
        options = request.options or {}
        if options.get("complete"):
            files = [Path(name) for name in options["complete"]]
            return complete_pictures(run, request.draws, request.classes, files, options["keep"], request.output)
        return draw_sweep(run, request.draws, request.classes, request.output)

    def export(self, run: Run) -> Path:
        """See `Modality`; compared on pictures of the test split."""
        vqvae, _ = load_vqvae(run)
        first = next(iter(run.data.examples("test" if run.data.sizes.get("test") else "train", 8)))
        return export_image_model(
            vqvae,
            load_prior(run),
            run.exports,
            run.config.export.export_name,
            version=run.config.export.export_version or None,
            images=first["x"].numpy(),
            labels=first["label"].numpy() if "label" in first else None,
            metadata=export_metadata(run),
        )
