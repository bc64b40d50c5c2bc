"""From a config to the VQ-VAE for waveforms."""

from __future__ import annotations

import math
from typing import Any

import keras

from vq_vae_tf.autoregressive import WaveNet
from vq_vae_tf.autoregressive_waveform import AutoregressiveWaveform
from vq_vae_tf.build_likelihood import decoder_network
from vq_vae_tf.build_network import check_one_code
from vq_vae_tf.build_quantizer import build_quantizer, model_sizes
from vq_vae_tf.config import Config
from vq_vae_tf.conversion import ConversionVQVAE
from vq_vae_tf.errors import UserError
from vq_vae_tf.modalities.audio.critic import VoiceCritic, WordCritic
from vq_vae_tf.modalities.audio.decoder import AudioDecoder
from vq_vae_tf.modalities.audio.encoder import AudioEncoder
from vq_vae_tf.modalities.audio.likelihood import AudioLikelihood, LogMelGaussian, Spectral
from vq_vae_tf.modalities.audio.logmel_encoder import LogMelEncoder
from vq_vae_tf.vqvae import VQVAE


def build_audio_likelihood(config: Config, precision: str = "float32") -> AudioLikelihood:
    """p(x | z_q) for waveforms: the paper's WaveNet over mu-law symbols, all samples at once, or log-mel frames."""
    audio = config.audio
    if audio.audio_decoder == "logmel":
        return LogMelGaussian(audio.sample_rate, audio_strides(config)[0], name="likelihood")
    if audio.audio_decoder == "spectral":
        return Spectral(name="likelihood")
    network = decoder_network(
        WaveNet,
        audio.wavenet_units,
        precision,
        num_symbols=256,
        symbol_shape=(audio.window,),
        num_layers=audio.wavenet_layers,
        dilation_cycle=audio.wavenet_cycle,
        logistics=audio.wavenet_logistics,
        condition_stride=audio.wavenet_hop,
    )
    return AutoregressiveWaveform(network, audio.wavenet_temperature, name="likelihood")


def _audio_encoder(config: Config, embedding_dim: int, sizes: dict[str, Any]) -> keras.layers.Layer:
    if config.audio.audio_input == "logmel":
        audio = config.audio
        heard: dict[str, Any] = {"centred": audio.logmel_centred, "cepstral": audio.logmel_cepstral}
        heard["other_voices"] = audio.other_voices
        encoder = LogMelEncoder(embedding_dim, config.audio.sample_rate, name="encoder", **heard, **sizes)
        if (deaf := encoder.frames.deaf_bands()) > encoder.frames.bins // 2:
            raise UserError(
                f"--audio_input=logmel with --audio_strides={audio.audio_strides}: {encoder.frames.size} samples "
                f"tell nothing of {deaf} of {encoder.frames.bins} bands; give a larger first stride, such as 160."
            )
        return encoder
    if config.audio.audio_decoder == "logmel":
        raise UserError("--audio_decoder=logmel has no frames to give without --audio_input=logmel; give both.")
    return AudioEncoder(embedding_dim, name="encoder", **sizes)


def audio_strides(config: Config) -> list[int]:
    """The strides of the audio encoder, as numbers."""
    return [int(part) for part in config.audio.audio_strides.split(",")]


def build_audio_vqvae(config: Config, num_speakers: int, precision: str = "float32", num_words: int = 0) -> VQVAE:
    """The VQ-VAE for waveforms `[window]` of so many speakers, with its weights created, under a dtype policy.

    num_words: how many words the training batches tell apart, with --said_weight.
    """
    check_one_code(config)
    strides = audio_strides(config)
    hop = math.prod(strides)
    if config.audio.window % hop:
        raise UserError(
            f"--window={config.audio.window} does not divide by {hop} (--audio_strides={config.audio.audio_strides}); "
            f"give a multiple of {hop}."
        )
    quantizer = build_quantizer(config, (config.audio.window // hop,))
    up = _upsampling(config, strides)
    likelihood = build_audio_likelihood(config, precision)
    sizes = model_sizes(config, precision)
    voice: dict[str, Any] = {"num_speakers": num_speakers, "jitter": config.audio.code_jitter}
    parts = (
        _audio_encoder(config, quantizer.embedding_dim, {"strides": strides, **sizes}),
        quantizer,
        AudioDecoder(likelihood.outputs, up, **voice, name="decoder", **sizes),
        likelihood,
    )
    converting = _conversion(config, num_speakers, num_words, likelihood.outputs, precision)
    vqvae = (ConversionVQVAE if converting else VQVAE)(*parts, **converting, name="vqvae", dtype=precision)
    vqvae.build((None, config.audio.window))
    return vqvae


def _conversion(config: Config, num_speakers: int, num_words: int, bins: int, precision: str) -> dict[str, Any]:
    """What `ConversionVQVAE` takes beside the parts; nothing where no conversion is trained. Raises: UserError."""
    audio = config.audio
    if not audio.conversion_weight:
        if audio.said_weight:
            raise UserError(f"--said_weight={audio.said_weight:g} is of what --conversion_weight makes; give both.")
        return {}
    if audio.audio_decoder != "logmel" or num_speakers < 2:
        raise UserError(
            f"--conversion_weight={audio.conversion_weight:g} with --audio_decoder={audio.audio_decoder} and "
            f"{num_speakers} speakers; it is for log-mel frames of at least two: give --audio_decoder=logmel, or 0."
        )
    critic = VoiceCritic(num_speakers, name="critic", dtype=precision)
    weights = {"conversion_weight": audio.conversion_weight, "content_weight": audio.content_weight}
    if not audio.said_weight:
        return {"critic": critic, **weights}
    listener = WordCritic(num_words, num_speakers, audio.sample_rate, bins, name="listener", dtype=precision)
    return {"critic": critic, "listener": listener, "said_weight": audio.said_weight, **weights}


def _upsampling(config: Config, strides: list[int]) -> list[int]:
    """Strides that the decoder undoes: the hop of log-mel frames, which is no convolution's, in factors of about 4.

    What samples share of a WaveNet's map is left undone.
    """
    if config.audio.audio_decoder == "logmel":
        return strides[1:]
    hop = config.audio.wavenet_hop if config.audio.audio_decoder == "wavenet" else 1
    if config.audio.audio_input == "waveform":
        return _less(strides, hop)
    factors, rest = [], strides[0]
    for factor in (4, 2, 3, 5, 7):
        while rest % factor == 0:
            factors.append(factor)
            rest //= factor
    return _less([*factors, *([rest] if rest > 1 else []), *strides[1:]], hop)


def _less(strides: list[int], hop: int) -> list[int]:
    """Strides without the factors of `hop`, from the first on. Raises: UserError."""
    left, rest = list(strides), hop
    for i, stride in enumerate(strides):
        shared = math.gcd(stride, rest)
        left[i], rest = stride // shared, rest // shared
    if rest > 1:
        raise UserError(
            f"--wavenet_hop={hop} does not divide the {math.prod(strides)} samples of a code; give a divisor of them."
        )
    return [stride for stride in left if stride > 1]
