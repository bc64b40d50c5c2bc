"""Video: the pipeline's side of the modality."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf

from vq_vae_tf import build
from vq_vae_tf.build_prior import build_dynamics
from vq_vae_tf.codes import MANIFEST, CodeData, CodeManifest, open_codes
from vq_vae_tf.config import Config
from vq_vae_tf.dynamics import Dynamics
from vq_vae_tf.errors import UserError
from vq_vae_tf.evaluation.films import check_film, contact_sheet, film, side_by_side
from vq_vae_tf.evaluation.reconstruction import data_variance
from vq_vae_tf.evaluation.report import counted
from vq_vae_tf.files import replacing
from vq_vae_tf.modalities.image.source import ImageData
from vq_vae_tf.modalities.video.data import open_video_data
from vq_vae_tf.modalities.video.source import VideoData
from vq_vae_tf.pipeline.camera import learned_camera
from vq_vae_tf.pipeline.consensus import consensus_films
from vq_vae_tf.pipeline.foresight import expected_films, load_foresight, train_foresight
from vq_vae_tf.pipeline.imagining import ACTIONS, code_squares, futures, parse_actions, transitions, write_video_codes
from vq_vae_tf.pipeline.loading import load_prior, load_vqvae, trained_pair
from vq_vae_tf.pipeline.metadata import export_metadata
from vq_vae_tf.pipeline.modality import CodeOf, Draw, Modality, SampleRequest
from vq_vae_tf.pipeline.run import Run
from vq_vae_tf.pipeline.sampling import check_top_k
from vq_vae_tf.pipeline.summaries import vqvae_summaries
from vq_vae_tf.pipeline.video_scoring import evaluate_video
from vq_vae_tf.serving.video import export_video_model
from vq_vae_tf.training.loop import Summarize
from vq_vae_tf.vqvae import VQVAE

_FACTOR = 2  # a pixel of a film is so many wide


class VideoModality(Modality):
    """Clips `[time, height, width, 3]`, uint8, with or without actions; one VQ-VAE for every frame by itself."""

    sample_flags: ClassVar[tuple[str, ...]] = ("actions", "clip", "consensus_of")

    def open_data(self, config: Config) -> VideoData:
        """See `Modality`."""
        data = config.data
        return open_video_data(
            data.dataset,
            data.data_dir or None,
            data.image_size,
            config.video.clip_length,
            data.validation_size,
            data.max_examples,
        )

    def facts(self, data: VideoData) -> dict[str, Any]:
        """See `Modality`."""
        names = ("name", "image_shape", "clip_length", "action_names")
        return {name: getattr(data, name) for name in names}

    def known(self, facts: Mapping[str, Any]) -> VideoData:
        """See `Modality`."""
        frames = ImageData(facts["name"], tuple(facts["image_shape"]), (), {})
        return VideoData(frames, facts["clip_length"], tuple(facts["action_names"]), {})

    def open_other(self, run: Run, dataset: str) -> VideoData:
        """Video of another source, resized to the size of the run's frames."""
        height, width, _ = run.known.image_shape
        if height != width:
            raise UserError(f"The run's frames are {height}x{width}; --input can be resized to squares only.")
        return open_video_data(dataset, run.config.data.data_dir or None, height, run.config.video.clip_length)

    def example_shape(self, data: VideoData) -> tuple[int, ...]:
        """That of a frame."""
        return data.image_shape

    def build_vqvae(self, config: Config, data: VideoData, precision: str = "float32") -> VQVAE:
        """See `Modality`."""
        return build.build_vqvae(config, data.image_shape, precision)

    def measure_variance(self, data: VideoData) -> float:
        """Of the training pixels on the scale 0..1."""
        return data_variance(data.examples("train", 1000))

    def summaries(self, data: VideoData) -> Summarize:
        """Frames beside their reconstructions, and a histogram of their codes."""
        return vqvae_summaries(data.frames)

    def build_prior(self, config: Config, manifest: CodeManifest, precision: str = "float32") -> Dynamics:
        """The next frame given those before it; the manifest's classes are the actions."""
        return build_dynamics(config, manifest, len(manifest.class_names), precision)

    def prior_start(self, run: Run, chief: bool = True) -> Callable[[Any], None]:
        """What moves starts as what each code looks like; how the camera moves is learned before all else."""
        video = run.config.video
        if not (video.motion_heads or video.camera_depths):
            return super().prior_start(run, chief)
        squares = code_squares(load_vqvae(run)[0])
        camera = learned_camera(run, squares, chief) if video.camera_depths else None

        def start(prior: Any) -> None:
            prior.past.show(squares)
            if camera is not None:
                prior.past.parallax[0].set_weights(camera)

        return start

    def beside_prior(self, run: Run, codes: CodeData, strategy: tf.distribute.Strategy) -> str:
        """What is to be expected of the next frame, if --foresight_steps asks for it."""
        return train_foresight(run, codes, strategy) if run.config.video.foresight_steps else ""

    def prior_batches(self, config: Config, codes: CodeData, seed: int, **where: Any) -> tf.data.Dataset:
        """Frames with their past; see `Modality`."""
        return transitions(codes, config.video.past_frames, seed=seed, **where)

    def write_codes(
        self, vqvae: VQVAE, digest: str, data: VideoData, directory: Path, code_of: CodeOf | None = None
    ) -> CodeManifest:
        """See `Modality`. Always the nearest codes: those of the past are what the next frame is imagined from."""
        del code_of
        return write_video_codes(vqvae, digest, data, directory)

    def check_codes(self, codes: CodeData) -> None:
        """See `Modality`."""
        codes.check()
        open_codes(codes.directory / ACTIONS, codes.manifest.model_digest).check()

    def evaluate(self, run: Run) -> str:
        """See `Modality`."""
        vqvae, digest = load_vqvae(run)
        codes = open_codes(run.codes, digest) if (run.codes / MANIFEST).exists() else None
        return evaluate_video(run, vqvae, load_prior(run) if codes is not None else None, codes)

    def sample(self, run: Run) -> str:
        """Each action in turn from the same first frames: vqvae/, prior/ -> samples/samples.gif and .png."""
        path = run.samples / "samples.gif"
        if path.exists():
            return f"already in {path}"
        return self.draw(run, SampleRequest((_own_draw(run),), output=path))

    def draw(self, run: Run, request: SampleRequest) -> str:
        """Films from the first frames of a clip, side by side and as a contact sheet, a row a film and temperature."""
        options = request.options or {}
        path = request.output or run.samples / f"seed-{request.draws[0].seed}.gif"
        if path.suffix.lower() not in (".gif", ".webp"):
            raise UserError(f"--output={path} is no animation; give a name that ends in .gif or .webp.")
        if request.classes:
            raise UserError(f"--classes={','.join(request.classes)} means nothing to video; leave it out.")
        plans = _plans(run, options.get("actions") or ())
        first, before = _first_frames(run, options.get("clip", 0))
        check_film(path.suffix.lower(), len(plans) * len(request.draws), first.shape[2], _FACTOR)
        vqvae, dynamics = trained_pair(run)
        check_top_k(request.draws, dynamics)
        past = np.asarray(vqvae.encode(first))[None]
        actions = np.array([[*before, *plan] for plan in plans])
        shown = first[None].repeat(len(plans), axis=0)
        past, count = past.repeat(len(plans), axis=0), options.get("consensus_of", 1)
        foresight = load_foresight(run) if count > 1 else None
        films = []
        for draw in request.draws:
            codings = futures(dynamics, past, actions, draw, count)
            expected = expected_films(foresight, shown, past, actions, codings)
            films.append(np.concatenate([shown, consensus_films(vqvae, codings, shown, expected)], axis=1))
        rows = np.concatenate(films)
        sheet = path.with_suffix(".png")
        _write(sheet, contact_sheet(rows))  # the film last: where it lies nothing is drawn again
        _write(path, film(side_by_side(list(rows)), path.suffix.lower(), factor=_FACTOR))
        length = f"{counted(len(plans[0]), 'frame')} after {counted(len(first), 'given one')}"
        return f"{counted(len(rows), 'film')} of {length} in {path} and {sheet}"

    def export(self, run: Run) -> Path:
        """See `Modality`; compared on clips of the test split."""
        vqvae, _ = load_vqvae(run)
        first = next(iter(run.data.clips("test" if run.data.sizes.get("test") else "train", 2)))
        return export_video_model(
            vqvae,
            load_prior(run),
            run.exports,
            run.config.export.export_name,
            video=first["x"].numpy()[:, : run.config.video.past_frames + 1],
            actions=first["actions"].numpy(),
            action_names=run.data.action_names,
            temperature=run.config.evaluation.temperature,
            version=run.config.export.export_version or None,
            metadata=export_metadata(run),
        )


def _own_draw(run: Run) -> Draw:
    return Draw(run.config.run.seed, run.config.evaluation.temperature)


def _plans(run: Run, words: Any) -> list[list[int]]:
    """Actions of each film: those asked for, else each action in turn; without actions one film."""
    names, future = run.data.action_names, run.config.video.future_frames
    if words:
        return [parse_actions(words, names)]
    return [[action] * future for action in range(max(len(names), 1))]


def _first_frames(run: Run, number: int) -> tuple[np.ndarray, np.ndarray]:
    """The past frames of a clip of the split that is scored, uint8 `[past, height, width, 3]`; the actions between."""
    split = run.config.evaluation.eval_split
    count = run.data.sizes.get(split, 0) // run.data.clip_length
    if not 0 <= number < count:
        raise UserError(f"--clip={number} is out of range; the split {split} has {count} clips, counted from 0.")
    batch = next(iter(run.data.clips(split, 1).skip(number)))
    past = run.config.video.past_frames
    return batch["x"].numpy()[0, :past], batch["actions"].numpy()[0, : past - 1]


def _write(path: Path, content: bytes) -> None:
    try:
        with replacing(path) as partial:
            partial.write_bytes(content)
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}); give a folder that can.") from error
