"""What an exported image model can be asked: functions over tensors, dict out, and the arguments of each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from vq_vae_tf.errors import UserError
from vq_vae_tf.modalities.image.decode import decode_rgb, to_square
from vq_vae_tf.quantizers.codings import draws_codes
from vq_vae_tf.serving.checks import as_many, in_range, of_shape, positive

Answer = dict[str, tf.Tensor]
Endpoint = tuple[Callable[..., Answer], list[tf.TensorSpec]]


class ImageEndpoints:
    """The functions behind the signatures of an image model.

    Images are uint8 `[batch, height, width, channels]`, codes int32 `[batch, *code_shape]`; a grid is `code_shape`
    without the axis of the codebooks, where there is one.

    Args:
        vqvae: a built `VQVAE`.
        prior: p(z) over its codes, or None: then there is no `sample`, `complete` and `log_prob`.
        image_shape: (height, width, channels).
        xla: compile the sampling loop with XLA; it compiles again for every batch size that it meets.

    Raises:
        UserError: a prior over other codes than the model's.
    """

    def __init__(self, vqvae: Any, prior: Any, image_shape: tuple[int, ...], xla: bool = True) -> None:
        self.vqvae, self.prior, self.image_shape = vqvae, prior, tuple(image_shape)
        quantizer = vqvae.quantizer
        z_shape = vqvae.encoder.compute_output_shape((None, *image_shape))
        self.code_shape = tuple(int(size) for size in quantizer.code_shape(tuple(z_shape[1:])))
        self.num_codes, self.num_codebooks = int(quantizer.num_codes), quantizer.num_codebooks
        self.grid = self.code_shape if self.num_codebooks is None else self.code_shape[:-1]
        self.num_labels = 0 if prior is None else prior.network.num_labels
        if prior is not None:
            self._check_prior(tuple(prior.network.symbol_shape), prior.network.num_symbols)
        label, symbols = tf.TensorSpec((None,), tf.int32), tf.TensorSpec((None, *self.code_shape), tf.int32)
        arguments = [tf.TensorSpec((), tf.int32), label, tf.TensorSpec(()), symbols, symbols]
        # One loop for `sample` and `complete`: half the graph, and XLA compiles it once for both.
        self._loop = tf.function(self._sampled, arguments, autograph=False, jit_compile=xla)
        # A likelihood with a network draws pixel by pixel: another loop, in every signature that gives images.
        self.looping = hasattr(vqvae.likelihood, "network")
        self._decode = tf.function(vqvae.decode, [symbols], autograph=False, jit_compile=xla and self.looping)
        # Of all signatures, so that a SavedModel holds the encoder once.
        self._encode = tf.function(vqvae.encode, [tf.TensorSpec((None, *self.image_shape), tf.uint8)], autograph=False)

    def _check_prior(self, shape: tuple[int, ...], num_codes: int) -> None:
        if (shape, num_codes) != (self.code_shape, self.num_codes):
            raise UserError(
                f"The prior is over codes {shape} of {num_codes} values, but the model gives {self.code_shape} of "
                f"{self.num_codes}; export a prior that was trained on this model's codes."
            )

    def endpoints(self) -> dict[str, Endpoint]:
        """Name of the signature -> function and arguments; the first is also `serving_default`."""
        image = tf.TensorSpec((None, *self.image_shape), tf.uint8, name="image")
        codes = tf.TensorSpec((None, *self.code_shape), tf.int32, name="codes")
        given: dict[str, Endpoint] = {
            "reconstruct": (self.reconstruct, [image]),
            "encode": (self.encode, [image]),
            "encode_png": (self.encode_png, [tf.TensorSpec((None,), tf.string, name="image_bytes")]),
            "decode": (self.decode, [codes]),
            "elbo": (self.elbo, [image]),
        }
        seed = tf.TensorSpec((), tf.int32, name="seed")
        if draws_codes(self.vqvae.quantizer):
            given["drawn_elbo"] = (self.drawn_elbo, [image, seed])
        if self.prior is not None:
            label = tf.TensorSpec((None,), tf.int32, name="label")
            keep_mask = tf.TensorSpec((None, *self.grid), tf.int32, name="keep_mask")
            temperature = tf.TensorSpec((), name="temperature")
            condition = [label] if self.num_labels else []
            given["sample"] = (self.sample, [seed, label, temperature])
            given["complete"] = (self.complete, [image, keep_mask, seed, temperature, *condition])
            given["log_prob"] = (self.log_prob, [codes, *condition])
        return given

    def encode(self, image: tf.Tensor) -> Answer:
        """Images -> codes."""
        return {"codes": self._encoded(image)}

    def encode_png(self, image_bytes: tf.Tensor) -> Answer:
        """Picture files (PNG, JPEG, BMP or GIF), string `[batch]` -> codes; sizes are made to fit as in training."""
        spec = tf.TensorSpec(self.image_shape, tf.uint8)
        return self.encode(tf.map_fn(self._picture, image_bytes, fn_output_signature=spec))

    def decode(self, codes: tf.Tensor) -> Answer:
        """Codes -> images."""
        return {"image": self._image(self._checked_codes(codes))}

    def reconstruct(self, image: tf.Tensor) -> Answer:
        """Images -> what their codes say of them."""
        return {"image": self._image(self._encoded(image))}

    def elbo(self, image: tf.Tensor) -> Answer:
        """The bound's two terms under a uniform prior, nats `[batch]`: -log p(image | codes), and log K for every code.

        (distortion + rate) / (dimensions log 2) are the bits/dim that evaluation gives as "uniform".
        """
        terms = self.vqvae.elbo(of_shape(image, (None, *self.image_shape), "image"))
        return {name: terms[name] for name in ("distortion", "rate")}

    def drawn_elbo(self, image: tf.Tensor, seed: tf.Tensor) -> Answer:
        """The terms of the bound with codes drawn from q(codes | image), as the run's are; another seed, other codes.

        The rate is log K for every code less what q does not tell apart. Their mean over images are the bits/dim that
        evaluation gives as "uniform_drawn".
        """
        terms = self.vqvae.drawn_elbo(of_shape(image, (None, *self.image_shape), "image"), seed)
        return {name: terms[name] for name in ("distortion", "rate")}

    def sample(self, seed: tf.Tensor, label: tf.Tensor, temperature: tf.Tensor) -> Answer:
        """One drawn image a label, int32 `[batch]`; a model without classes only counts the labels."""
        label = self._checked_label(label)
        nothing = tf.zeros((tf.shape(label)[0], *self.code_shape), tf.int32)
        return self._drawn(seed, label, temperature, nothing, nothing)

    def complete(
        self,
        image: tf.Tensor,
        keep_mask: tf.Tensor,
        seed: tf.Tensor,
        temperature: tf.Tensor,
        label: tf.Tensor | None = None,
    ) -> Answer:
        """Keeps the codes of the image where `keep_mask` `[batch, *grid]` is 1, draws them where it is 0."""
        codes = self._encoded(image)
        keep = in_range(of_shape(keep_mask, (None, *self.grid), "keep_mask"), 2, "keep_mask")
        keep = as_many(keep, codes, "keep_mask and image")
        if self.num_codebooks is not None:
            keep = tf.broadcast_to(keep[..., None], tf.shape(codes))
        if label is None:
            label = tf.zeros(tf.shape(image)[:1], tf.int32)
        else:
            label = as_many(self._checked_label(label), codes, "label and image")
        return self._drawn(seed, label, temperature, codes, keep)

    def log_prob(self, codes: tf.Tensor, label: tf.Tensor | None = None) -> Answer:
        """log p(codes) in nats, float32 `[batch]`."""
        codes = self._checked_codes(codes)
        condition = None if label is None else {"label": as_many(self._checked_label(label), codes, "label and codes")}
        return {"log_prob": self.prior.log_prob(codes, condition)}

    def _drawn(
        self, seed: tf.Tensor, label: tf.Tensor, temperature: tf.Tensor, given: tf.Tensor, keep: tf.Tensor
    ) -> Answer:
        codes = self._loop(seed, label, positive(temperature, "temperature"), given, keep)
        return {"image": self._image(codes), "codes": codes}

    def _sampled(
        self, seed: tf.Tensor, label: tf.Tensor, temperature: tf.Tensor, given: tf.Tensor, keep: tf.Tensor
    ) -> tf.Tensor:
        batch_size = tf.shape(label)[0]
        return self.prior.sample(batch_size, seed, {"label": label}, temperature, given=given, keep_mask=keep)

    def _encoded(self, image: tf.Tensor) -> tf.Tensor:
        return self._encode(of_shape(image, (None, *self.image_shape), "image"))

    def _checked_codes(self, codes: tf.Tensor) -> tf.Tensor:
        return in_range(of_shape(codes, (None, *self.code_shape), "codes"), self.num_codes, "codes")

    def _checked_label(self, label: tf.Tensor) -> tf.Tensor:
        return in_range(label, self.num_labels, "label") if self.num_labels else label

    def _image(self, codes: tf.Tensor) -> tf.Tensor:
        return to_uint8(self._decode(codes))

    def _picture(self, image_bytes: tf.Tensor) -> tf.Tensor:
        height, width, channels = self.image_shape
        if channels == 3:
            picture = decode_rgb(image_bytes)
        else:
            picture = tf.io.decode_image(image_bytes, channels, expand_animations=False)
        shape = tf.shape(picture)
        fits = (shape[0] == height) & (shape[1] == width)
        picture = tf.cond(fits, lambda: picture, lambda: to_square(picture, height))
        return tf.ensure_shape(picture, self.image_shape)


def to_uint8(x: tf.Tensor) -> tf.Tensor:
    """Images on the scale 0..255, rounded (halves to even) and clipped."""
    return tf.saturate_cast(tf.round(x), tf.uint8)
