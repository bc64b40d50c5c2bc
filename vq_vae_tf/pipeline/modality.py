"""What the stages ask of a kind of data, and the kinds that there are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import tensorflow as tf

from vq_vae_tf.build_prior import build_prior
from vq_vae_tf.codes import CodeData, CodeManifest, write_codes
from vq_vae_tf.config import Config
from vq_vae_tf.errors import UserError
from vq_vae_tf.prior import Prior
from vq_vae_tf.progress import shown
from vq_vae_tf.training.loop import Summarize
from vq_vae_tf.vqvae import VQVAE, condition

if TYPE_CHECKING:
    from vq_vae_tf.pipeline.run import Run

MODALITIES = {
    "image": "vq_vae_tf.pipeline.image:ImageModality",
    "audio": "vq_vae_tf.pipeline.audio:AudioModality",
    "video": "vq_vae_tf.pipeline.video:VideoModality",
}
"""Name of `--modality` -> where its class is; imported when it is first asked for."""
CodeOf = Callable[[Mapping[str, Any]], tf.Tensor]
"""Batch -> its codes int32 `[batch, *code_shape]`."""
_ENCODED = 500  # examples at a time


@dataclass(frozen=True)
class Draw:
    """How codes are drawn: the seed, and what sharpens the prior's distribution."""

    seed: int
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0


@dataclass(frozen=True)
class SampleRequest:
    """What `bin/sample` was asked for.

    draws: one block of samples each. classes: by name; none: the first ones. output: a file; None: among the run's
    samples. options: the flags of the modality at hand, by name.
    """

    draws: tuple[Draw, ...]
    classes: tuple[str, ...] = ()
    output: Path | None = None
    options: Mapping[str, Any] | None = None


class Modality(ABC):
    """A kind of data: how it is opened, modelled, encoded, scored, sampled and served.

    Data is what `open_data` gives: `name`, `sizes` (split -> examples), `class_names`, `examples(split, batch_size)`
    and `training_batches(batch_size, seed, start_step, augment=, num_shards=, shard=)`; a batch is a dict with "x",
    and "label" where there are classes. `names`: split -> where each example comes from, empty where that is no file.
    """

    sample_flags: ClassVar[tuple[str, ...]] = ()
    """Flags of `bin/sample` that this modality knows beside those of every modality."""

    @abstractmethod
    def open_data(self, config: Config) -> Any:
        """The data that the config names. Raises: UserError."""

    @abstractmethod
    def facts(self, data: Any) -> dict[str, Any]:
        """What models and commands have to know of the data beside its examples, as JSON values."""

    @abstractmethod
    def known(self, facts: Mapping[str, Any]) -> Any:
        """Data of which `facts` says this, without examples."""

    @abstractmethod
    def open_other(self, run: Run, dataset: str) -> Any:
        """Another data set, made to fit the run's model. Raises: UserError."""

    @abstractmethod
    def example_shape(self, data: Any) -> tuple[int, ...]:
        """The shape of one "x"."""

    @abstractmethod
    def build_vqvae(self, config: Config, data: Any, precision: str = "float32") -> VQVAE:
        """The model, with its weights created."""

    def measure_variance(self, data: Any) -> float:
        """The variance of the training data, for a config that leaves it to be measured; 0: nothing asks for it."""
        del data
        return 0.0

    def summaries(self, data: Any) -> Summarize | None:
        """What TensorBoard shows while the VQ-VAE trains."""
        del data
        return None

    def build_prior(self, config: Config, manifest: CodeManifest, precision: str = "float32") -> Prior:
        """The prior over the codes that the manifest describes."""
        return build_prior(config, manifest, precision)

    def prior_start(self, run: Run, chief: bool = True) -> Callable[[Any], None]:
        """What gives a new prior more than chance to start from, asked for outside a strategy's scope; here nothing.

        Where it has to be learned, the chief does it and the other workers wait.
        """
        del run, chief
        return lambda prior: None

    def prior_batches(self, config: Config, codes: CodeData, seed: int, **where: Any) -> tf.data.Dataset:
        """Endless training batches of the prior; the batch of step s depends on (seed, s) only."""
        del config
        return codes.training_batches(seed=seed, **where)

    def beside_prior(self, run: Run, codes: CodeData, strategy: tf.distribute.Strategy) -> str:
        """Trains what this kind of data has beside its prior; what to tell the user, here nothing."""
        del run, codes, strategy
        return ""

    def write_codes(
        self, vqvae: VQVAE, digest: str, data: Any, directory: Path, code_of: CodeOf | None = None
    ) -> CodeManifest:
        """Encodes every split of the data into a directory; `code_of`: otherwise than by the encoder's own codes."""
        encode = code_of or tf.function(vqvae.encode, reduce_retracing=True, autograph=False)
        splits = {split: _encoded(encode, data, split) for split, size in data.sizes.items() if size}
        z_shape = vqvae.encoder.compute_output_shape((None, *self.example_shape(data)))
        return write_codes(
            directory,
            splits,
            num_codes=vqvae.quantizer.num_codes,
            code_shape=tuple(vqvae.quantizer.code_shape(tuple(z_shape[1:]))),
            num_codebooks=vqvae.quantizer.num_codebooks,
            layout=vqvae.quantizer.layout,
            class_names=data.class_names,
            model_digest=digest,
            names=data.names,
        )

    def check_codes(self, codes: CodeData) -> None:
        """Reads through all that `write_codes` wrote. Raises: UserError naming a file that is missing or damaged."""
        codes.check()

    @abstractmethod
    def evaluate(self, run: Run) -> str:
        """Scores the evaluation split: writes evaluation.json and report.html, returns what to tell the user."""

    @abstractmethod
    def sample(self, run: Run) -> str:
        """The run's own samples, unless they are there."""

    @abstractmethod
    def draw(self, run: Run, request: SampleRequest) -> str:
        """What `bin/sample` was asked for."""

    @abstractmethod
    def export(self, run: Run) -> Path:
        """Writes a new version folder with the SavedModel."""


@lru_cache
def modality(name: str) -> Modality:
    """The modality called `name`. Raises: UserError for an unknown one."""
    if name not in MODALITIES:
        raise UserError(f"--modality={name} is not known; choose one of {', '.join(MODALITIES)}.")
    module, _, kind = MODALITIES[name].partition(":")
    return getattr(import_module(module), kind)()


def _encoded(encode: Callable[[Any], Any], data: Any, split: str) -> Iterator[dict[str, Any]]:
    batches = -(-data.sizes[split] // _ENCODED)
    for batch in shown(data.examples(split, _ENCODED), f"encode {split}", batches):
        yield {"codes": encode(batch).numpy()} | {k: v.numpy() for k, v in (condition(batch) or {}).items()}
