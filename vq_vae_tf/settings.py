"""What there is to set of a run, section by section: every flag once, with its default, its meaning and its range."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from vq_vae_tf.errors import UserError
from vq_vae_tf.option import check, option, options_of


@dataclass(frozen=True)
class DataConfig:
    """Data."""

    modality: str = option("image", "what the data is: image, audio or video")
    dataset: str = option(
        "cifar10",
        "a TFDS name, `folder:/path` (pictures by class, sounds by speaker, films by episode), or `vizdoom` (rendered "
        "on first use)",
    )
    data_dir: str = option("", "where TFDS data lies or goes; empty: TFDS's default", identity=False)
    image_size: int = option(0, "images are resized and cropped to this square; 0: as stored", minimum=0)
    validation_size: int = option(0, "training examples held out as the split `validation`", minimum=0)
    max_examples: int = option(0, "use at most this many examples of each split; 0: all", minimum=0)
    augment: bool = option(False, "mirror training images at random")
    strict: bool = option(False, "refuse a folder with unreadable files instead of leaving them out")


@dataclass(frozen=True)
class ModelConfig:
    """Encoder, decoder, likelihood."""

    units: int = option(128, "hidden units of encoder and decoder", minimum=1)
    residual_units: int = option(32, "units inside a residual block", minimum=1)
    residual_blocks: int = option(2, "residual blocks in encoder and in decoder", minimum=0)
    downsamplings: int = option(2, "strided layers; the code grid is 2^this coarser than the image", minimum=1)
    resampling: Literal["strided", "folded"] = option(
        "strided", "of images: strided convolutions (the paper's), or squares of pixels as vectors (faster on a CPU)"
    )
    contrast_codes: bool = option(
        False,
        "with --resampling=folded and --quantizer=product: coefficients go over the contrast of their square, which "
        "the last three codes tell",
    )
    mixture_components: int = option(10, "of --likelihood=logistic_mixture: logistics in a pixel's mixture", minimum=1)
    likelihood: str = option(
        "gaussian", "p(x|z): gaussian, categorical, logistic_mixture, or pixelcnn (drawn pixel by pixel)"
    )
    pixelcnn_units: int = option(
        64, "of --likelihood=pixelcnn: hidden units, and width of the decoder's map", minimum=1
    )
    pixelcnn_layers: int = option(6, "of --likelihood=pixelcnn: layers", minimum=1)
    pixelcnn_side: int = option(
        1,
        "of --likelihood=pixelcnn: side of the squares of pixels that it goes by; 2 has a quarter of the steps",
        minimum=1,
    )
    pixelcnn_logistics: int = option(
        0, "of --likelihood=pixelcnn: logistics mixed over the 256 values; 0: a softmax, as in the paper", minimum=0
    )
    pixelcnn_reach: int = option(
        0,
        "of --likelihood=pixelcnn: pixels that its first layer sees up, left and right, as differences, at least 2, "
        "the others seeing one pixel; fast to learn, and needs --pixelcnn_logistics; 0: gated layers, as in the paper",
        minimum=0,
    )
    pixelcnn_messages: int = option(
        0,
        "of --pixelcnn_reach: numbers that a pixel tells those after it, which so know of more than they see; 0: none",
        minimum=0,
    )
    pixelcnn_codes: bool = option(True, "of --likelihood=pixelcnn: false hides the codes from it, to compare with")
    first_stage: str = option(
        "",
        "a run whose codes become the data: images -> its codes -> --num_codebooks codes for the whole image (paper, "
        "section 4.2)",
    )
    data_variance: float = option(
        0.0, "variance of the pixels on the scale 0..1, which normalises the squared error; 0: measured", minimum=0.0
    )
    contrast_weight: float = option(
        0.0,
        "of --likelihood=gaussian: what is decoded has to have the contrast of the picture, wherever its edges are, so "
        "it is sharp; its weight beside the squared error; 0: squared error alone",
        minimum=0.0,
    )


@dataclass(frozen=True)
class AudioConfig:
    """Audio."""

    sample_rate: int = option(16_000, "samples per second; sounds of other rates are converted", minimum=1)
    window: int = option(40_960, "samples of a training example", minimum=1)
    audio_strides: str = option("2,2,2,2,2,2", "of the encoder's convolutions; their product: samples to a code")
    audio_input: Literal["waveform", "logmel"] = option(
        "waveform", "what the encoder sees; of logmel the first of --audio_strides is the hop of its frames"
    )
    audio_decoder: Literal["wavenet", "spectral", "logmel"] = option(
        "wavenet",
        "samples one by one (the paper's), all at once with losses on spectra (fast), or log-mel frames (phonemes)",
    )
    logmel_cepstral: bool = option(False, "of log-mel input: z_e starts as the cepstra of the frames under a code")
    logmel_centred: bool = option(True, "of log-mel input: subtract the mean of every band over the whole sound")
    other_voices: float = option(
        0.0,
        "of log-mel input: in training the encoder hears voices stretched by up to this share, by other microphones",
        minimum=0.0,
        maximum=0.5,
    )
    conversion_weight: float = option(
        0.0,
        "of log-mel frames: in training sounds are also decoded in other voices, which a critic has to take for those "
        "speakers'; nats per sample for a nat",
        minimum=0.0,
    )
    content_weight: float = option(
        0.25,
        "with --conversion_weight: how much the encoder has to find the same codes in the other voice",
        minimum=0.0,
    )
    said_weight: float = option(
        0.0,
        "with --conversion_weight: a second critic, who learns to name what is said, has to name it in the other voice "
        "too; nats per sample for a nat; recordings are called WORD_ANYTHING",
        minimum=0.0,
    )
    code_jitter: float = option(
        0.0, "of audio: probability that the decoder gets a neighbour in place of a code", minimum=0.0, maximum=0.9
    )
    wavenet_units: int = option(64, "channels of the WaveNet decoder", minimum=1)
    wavenet_layers: int = option(20, "layers of the WaveNet decoder", minimum=1)
    wavenet_cycle: int = option(10, "layers after which its dilation starts again at 1", minimum=1)
    wavenet_hop: int = option(
        1, "samples that share a vector of what the WaveNet decoder hears of the codes; more is faster", minimum=1
    )
    wavenet_temperature: float = option(
        1.0, "of the WaveNet decoder's draws; below 1 with less noise than recordings", minimum=1e-6, identity=False
    )
    wavenet_logistics: int = option(
        0, "logistics that the WaveNet decoder mixes over the mu-law levels; 0: a softmax, as in the paper", minimum=0
    )
    audio_holdout: str = option("hash", "the test split: hash (a tenth), takes:N (_0 to _N-1), speakers:A,B")


@dataclass(frozen=True)
class VideoConfig:
    """Video."""

    clip_length: int = option(16, "frames of a clip; episodes are cut into clips", minimum=2)
    past_frames: int = option(6, "frames from whose codes the next frame is predicted", minimum=1, stage="prior")
    future_frames: int = option(10, "frames imagined by evaluation", minimum=1, identity=False)
    use_actions: bool = option(True, "condition the next frame on the action, where actions are known", stage="prior")
    past_units: int = option(64, "width of the map that the past frames become", minimum=1, stage="prior")
    past_layers: int = option(6, "layers from the past frames to the map", minimum=1, stage="prior")
    motion_heads: int = option(
        2, "ways in which each past frame is moved as the actions say; 0: none", minimum=0, stage="prior"
    )
    camera_depths: int = option(
        0,
        "depths at which past frames are moved as for a camera that turns and walks by the actions; 0: none",
        minimum=0,
        stage="prior",
    )
    foresight_steps: int = option(
        0,
        "steps in which a network learns the next picture that is to be expected, for --consensus_of; 0: none; needs "
        "--camera_depths",
        minimum=0,
        stage="foresight",
    )


@dataclass(frozen=True)
class QuantizerConfig:
    """Quantizer."""

    quantizer: str = option(
        "vector",
        "vector, product, residual, finite_scalar, lookup_free, simvq or entropy_constrained; for images also "
        "two_level (VQ-VAE-2), joint (codes priced by a network)",
    )
    num_embeddings: int = option(512, "K, codes in a codebook (lookup-free: a power of two)", minimum=2)
    embedding_dim: int = option(64, "D, dimension of z_e and of a code", minimum=1)
    num_codebooks: int = option(8, "codes at each place, for product and residual quantizers", minimum=1)
    commitment_cost: float = option(0.25, "beta of the paper's equation 3", minimum=0.0)
    ema_decay: float = option(
        0.99, "decay of the codebook's moving average; 0: the paper's codebook loss", minimum=0.0, maximum=1.0
    )
    revive_below: float = option(
        0.1,
        "codes used less than this share of the mean move to a vector of the batch; 0: never",
        minimum=0.0,
        maximum=0.99,
    )
    code_temperature: float = option(
        0.0,
        "training draws codes of vector and product quantizers by exp(-squared distance / this), and evaluation also "
        "gives the bound with drawn codes; 0: the nearest",
        minimum=0.0,
    )
    last_temperature: float = option(
        0.0,
        "of the vector quantizer with --code_temperature: how codes are drawn in the second half of training; 0: as in "
        "the first",
        minimum=0.0,
    )
    draw_temperature: float = option(
        0.0,
        "of a VQ-VAE trained with --code_temperature: how its codes are drawn once it is trained, for the prior to "
        "learn and for the bound; 0: as training ended",
        minimum=0.0,
        stage="codes",
    )
    rate_cost: float = option(
        0.0,
        "of the product quantizer with --code_temperature: it learns how exactly each dimension of z is told, at this "
        "cost of a nat; for the bound: 1 / (dimensions of x that a vector of z stands for); 0: all alike",
        minimum=0.0,
    )
    bit_cost: float = option(
        0.01, "of the entropy-constrained and the joint quantizer: distortion traded for a bit", minimum=0.0
    )
    levels_apart: int = option(1, "of --quantizer=two_level: the top grid is 2^this coarser than the other", minimum=1)
    levels: str = option("8,8,8", "of the finite-scalar quantizer: levels of each dimension, K is their product")


SCHEDULED: dict[str, dict[str, Any]] = {
    "steps": dict(text="training steps", minimum=1),
    "batch_size": dict(text="examples in a step, over all replicas", minimum=1),
    "learning_rate": dict(text="Adam's learning rate, at its peak", minimum=0.0),
    "schedule": dict(text="the learning rate after the warm-up"),
    "warmup_steps": dict(text="steps over which the learning rate rises from zero", minimum=0),
    "weight_decay": dict(text="AdamW's decoupled weight decay", minimum=0.0),
    "clip_norm": dict(text="gradients are scaled to at most this global norm; 0: not", minimum=0.0),
    "weight_ema": dict(
        text="decay of the averaged weights that are kept at the end; 0: no average", minimum=0.0, maximum=1.0
    ),
}
"""What the flags of both trainings mean, without their prefix."""


def _scheduled(name: str, default: Any, stage: str = "vqvae") -> Any:
    return option(default, **SCHEDULED[name], stage=stage)


@dataclass(frozen=True)
class TrainingConfig:
    """Training of the VQ-VAE."""

    steps: int = _scheduled("steps", 10_000)
    batch_size: int = _scheduled("batch_size", 32)
    learning_rate: float = _scheduled("learning_rate", 3e-4)
    schedule: Literal["constant", "cosine", "linear"] = _scheduled("schedule", "constant")
    warmup_steps: int = _scheduled("warmup_steps", 0)
    weight_decay: float = _scheduled("weight_decay", 0.0)
    clip_norm: float = _scheduled("clip_norm", 0.0)
    weight_ema: float = _scheduled("weight_ema", 0.0)


@dataclass(frozen=True)
class PriorConfig:
    """Prior over the codes, and its training."""

    prior: str = option("pixelcnn", "pixelcnn (gated), wavenet or transformer", stage="prior")
    prior_units: int = option(128, "hidden units", minimum=1, stage="prior")
    prior_layers: int = option(12, "layers", minimum=1, stage="prior")
    prior_dropout: float = option(0.1, "dropout rate", minimum=0.0, maximum=1.0, stage="prior")
    prior_vectors: bool = option(
        False,
        "of vector, entropy-constrained and product quantizers: the prior sees and predicts codes as the vectors of "
        "their codebook (along the 8 axes on which they differ most), not as names: it learns in fewer steps",
        stage="prior",
    )
    prior_labels: bool = option(True, "condition on the class where the data has classes", stage="prior")
    prior_steps: int = _scheduled("steps", 10_000, "prior")
    prior_batch_size: int = _scheduled("batch_size", 32, "prior")
    prior_learning_rate: float = _scheduled("learning_rate", 1e-3, "prior")
    prior_schedule: Literal["constant", "cosine", "linear"] = _scheduled("schedule", "cosine", "prior")
    prior_warmup_steps: int = _scheduled("warmup_steps", 200, "prior")
    prior_weight_decay: float = _scheduled("weight_decay", 0.0, "prior")
    prior_clip_norm: float = _scheduled("clip_norm", 1.0, "prior")
    prior_weight_ema: float = _scheduled("weight_ema", 0.0, "prior")


@dataclass(frozen=True)
class EvaluationConfig:
    """Evaluation and samples."""

    eval_split: Literal["test", "validation", "train"] = option("test", "the split that is scored", identity=False)
    eval_batch_size: int = option(250, "examples at a time", minimum=1, identity=False)
    iw_samples: int = option(
        1, "codings of an image summed over in a tighter bound on its likelihood; 1: its own", minimum=1, identity=False
    )
    search_candidates: int = option(
        0, "nearby codes tried at each place for a coding that decodes better; 0: no search", minimum=0, identity=False
    )
    search_sweeps: int = option(1, "times that the search tries every place", minimum=1, identity=False)
    search_rate_weight: float = option(
        0.0,
        "nats of loss that the search gives to save a nat of codes under the learned prior; 0: none",
        minimum=0.0,
        identity=False,
    )
    search_bytes: int = option(
        0,
        "most bytes of a picture's codes, coded under the learned prior: the search weighs the rate of each picture as "
        "it must, whatever --search_rate_weight says; 0: no limit",
        minimum=0,
        identity=False,
    )
    samples_per_class: int = option(
        8, "sampled pictures of each class (or rows of eight without classes)", minimum=1, identity=False
    )
    temperature: float = option(1.0, "of the prior's samples", minimum=1e-6, identity=False)


@dataclass(frozen=True)
class ExportConfig:
    """Export."""

    export_dir: str = option("", "where exports go; empty: `export` in the work folder", identity=False)
    export_name: str = option("model", "folder of the export, and the model's name in TF Serving", identity=False)
    export_version: int = option(0, "version folder; 0: the next free one", minimum=0, identity=False)


@dataclass(frozen=True)
class RunConfig:
    """The run."""

    workdir: str = option("", "everything of the run goes here; empty: runs/<name of the recipe>", identity=False)
    stages: str = option("all", "`all`, or some of vqvae,codes,prior,evaluate,sample,export", identity=False)
    start_from: str = option(
        "",
        "a finished run, or an export's version folder, whose weights training begins with, to go on with other data; "
        "what is made for its classes or speakers, or for another number of codes, begins anew",
    )
    seed: int = option(0, "governs the whole run", minimum=0, maximum=2**31 - 1)
    strategy: Literal["default", "mirrored", "multi_worker", "tpu"] = option(
        "default",
        "how training is spread: one device, all GPUs of this host, several hosts (TF_CONFIG), TPU",
        identity=False,
    )
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = option(
        "float32", "Keras dtype policy of training"
    )
    jit: bool = option(False, "compile the training step with XLA")
    log_every: int = option(100, "steps between two lines of metrics", minimum=1, identity=False)
    checkpoint_every: int = option(1_000, "steps between two checkpoints", minimum=1, identity=False)


@dataclass(frozen=True)
class Config:
    """All of a run's settings; `section.field` here is the flag `--field`."""

    run: RunConfig = RunConfig()
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    audio: AudioConfig = AudioConfig()
    video: VideoConfig = VideoConfig()
    quantizer: QuantizerConfig = QuantizerConfig()
    training: TrainingConfig = TrainingConfig()
    prior: PriorConfig = PriorConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    export: ExportConfig = ExportConfig()

    def __post_init__(self) -> None:
        for one in options_of(Config):
            check(one, getattr(getattr(self, one.section), one.name))
        parts = self.quantizer.levels.split(",")
        if not all(part.strip().isdecimal() and int(part) >= 2 for part in parts):
            raise UserError(
                f"--levels={self.quantizer.levels} are not levels; give whole numbers of at least 2: 8,8,8."
            )
        strides = self.audio.audio_strides.split(",")
        if not all(part.strip().isdecimal() and int(part) >= 1 for part in strides):
            raise UserError(f"--audio_strides={self.audio.audio_strides} are not strides; give numbers such as 2,2,4.")
        video = self.video
        if video.past_frames + video.future_frames > video.clip_length:
            raise UserError(
                f"--past_frames={video.past_frames} and --future_frames={video.future_frames} are more than the "
                f"{video.clip_length} frames of a clip (--clip_length); give fewer."
            )
