"""VQ-VAE: encoder, quantizer, decoder and likelihood as one Keras model."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from vq_vae_tf.budget import search_within
from vq_vae_tf.ops.fit_loss import fit_loss
from vq_vae_tf.ops.replicas import of_this_replica
from vq_vae_tf.quantizers.codings import drawn_coding, nearby_codings, neighbours
from vq_vae_tf.search import coordinate_search

NEARBY = 8
"""Nearest codes for each candidate, among which those are chosen that cost little: `VQVAE.search` with `most_bits`."""


@keras.saving.register_keras_serializable(package="vq_vae_tf")
class VQVAE(keras.Model):
    """The paper's model and its evidence lower bound.

    Equation: L = -log p(x | z_q(x)) / dimensions + codebook loss + beta * commitment loss (the quantizer's own terms),
    in nats per dimension; log p(x) >= log p(x | z_q(x)) + log p(z).
    Paper: section 3.2, equation 3.

    A decoder with `takes_condition = True` also gets what else a batch holds (such as the speaker, under "label"):
    `decoder(z_q, condition=..., training=...)`.

    Works with plain `compile(optimizer)` and `fit(images)`: no targets are needed. Wherever `x` is asked for, a
    dictionary with the key "x" does too, so one data set serves models that are conditioned and models that are not.

    Args:
        encoder: x -> z_e `[batch, *grid, dim]`.
        quantizer: a `vq_vae_tf.quantizers.Quantizer`.
        decoder: z_q -> parameters of the likelihood.
        likelihood: p(x | parameters).
    """

    PARTS: tuple[str, ...] = ("encoder", "quantizer", "decoder", "likelihood")
    """What it is made of: the constructor's arguments."""

    def __init__(
        self,
        encoder: keras.layers.Layer,
        quantizer: keras.layers.Layer,
        decoder: keras.layers.Layer,
        likelihood: keras.layers.Layer,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.encoder, self.quantizer, self.decoder, self.likelihood = encoder, quantizer, decoder, likelihood

    def build(self, input_shape: Any) -> None:
        """Creates every weight; `input_shape` is that of x, or a dictionary with it under "x"."""
        shape = tuple(input_shape["x"] if isinstance(input_shape, dict) else input_shape)
        for layer in (self.encoder, self.quantizer, self.decoder):
            if not layer.built:
                layer.build(shape)
            shape = layer.compute_output_shape(shape)
        if not self.likelihood.built:
            self.likelihood.build(shape)
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Parameters of p(x | z_q(x)); gradients pass the quantizer straight through."""
        z_e = self.encoded(inputs, training=training)
        return self._decoded(self.quantizer(z_e, training=training), condition(inputs), training)

    def encode(self, inputs: Any) -> Any:
        """Codes of x, int32 `[batch, *code_shape]`."""
        return self.quantizer.encode(self.encoded(inputs, training=False))

    def search(
        self,
        inputs: Any,
        candidates: int = 8,
        sweeps: int = 1,
        prior: Any = None,
        rate_weight: float = 1.0,
        most_bits: float | None = None,
    ) -> Any:
        """Codes of images that the decoder makes more of than of `encode`'s: see `coordinate_search`.

        Equation: k -> argmin loss(x | k) - rate_weight log p(k), both in nats, the loss that of training. With a weight
        of 1 and the loss -log p(x | k), that is the bound under the prior.

        Args:
            inputs: images, or a batch of them, as for `encode`.
            candidates: the nearest codes that are tried at each place, 2 to K; the cost grows with them.
            sweeps: times that every place is tried.
            prior: p(z), such as an arithmetic coder uses; None: all codes cost the same.
            rate_weight: how much loss a nat of the codes is worth; for a `prior` only.
            most_bits: bits an image may have under the `prior`: the weight is then each image's own, whatever
                `rate_weight` says (`search_within`). An image for which no such coding is found has one of more bits:
                another sweep may find it. None: any number.

        Raises:
            ValueError: too few or too many candidates; a negative weight; a residual quantizer; codes without a grid;
                `most_bits` without a prior.
        """
        if rate_weight < 0:
            raise ValueError(f"{self.name}: rate_weight={rate_weight}; expected a number that is not negative.")
        if most_bits is not None and (prior is None or most_bits <= 0):
            raise ValueError(
                f"{self.name}: most_bits={most_bits}, prior={prior}; expected a positive number of bits, and the prior "
                "that counts them."
            )
        known, z_e = condition(inputs), self.encoded(inputs, training=False)
        codes, x = self.quantizer.encode(z_e), self.observed(inputs)
        if not 2 <= candidates <= self.quantizer.num_codes:
            raise ValueError(f"{self.name}: candidates={candidates}; expected 2 to {self.quantizer.num_codes}.")

        def loss_map(codes: Any) -> Any:
            height, width = codes.shape[1:3]
            pixels = self.likelihood.loss_map(self.decode_params(codes, known), x)
            blocks = (-1, height, x.shape[1] // height, width, x.shape[2] // width)
            return ops.sum(ops.reshape(pixels, blocks), axis=(2, 4))

        def rates(codes: Any) -> Any:
            return -ops.log_softmax(prior({"codes": codes, **(known or {})}, training=False), axis=-1)

        def nearby(count: int) -> tuple[Any, Any]:
            found = neighbours(self.quantizer, z_e, count)
            return tuple(ops.reshape(each, (-1, *codes.shape[1:], count)) for each in found)

        if most_bits is None:
            tried = ops.moveaxis(nearby(candidates)[0], -1, 0)
            costs = None if prior is None else lambda codes: rate_weight * rates(codes)
            return coordinate_search(codes, tried, loss_map, sweeps, costs)
        near = nearby(min(NEARBY * candidates, self.quantizer.num_codes))
        return search_within(codes, near, loss_map, rates, most_bits * math.log(2), candidates, sweeps)[0]

    def observed(self, inputs: Any) -> Any:
        """What the likelihood is a distribution over: x itself."""
        return observation(inputs)

    def encoded(self, inputs: Any, training: bool | None = None) -> Any:
        """z_e of x."""
        return self.encoder(observation(inputs), training=training)

    def decode(self, codes: Any, condition: dict[str, Any] | None = None) -> Any:
        """E[x | codes, condition] on the scale of x, float32."""
        return self.likelihood.mean(self.decode_params(codes, condition))

    def decode_params(self, codes: Any, condition: dict[str, Any] | None = None) -> Any:
        """Parameters of p(x | codes, condition)."""
        return self._decoded(self.quantizer.decode(codes), condition, training=False)

    def reconstruct(self, inputs: Any) -> Any:
        """E[x | z_q(x)] on the scale of x, float32."""
        return self.decode(self.encode(inputs), condition(inputs))

    def _decoded(self, z_q: Any, given: dict[str, Any] | None, training: bool | None) -> Any:
        if not getattr(self.decoder, "takes_condition", False):
            return self.decoder(z_q, training=training)
        if given is None:
            raise ValueError(f"{self.name}: the decoder is conditioned, but no condition came; give a dictionary.")
        return self.decoder(z_q, condition=given, training=training)

    def loss_terms(self, inputs: Any, training: bool | None = True) -> dict[str, Any]:
        """Scalars: "loss" and what it is the sum of, means over the batch, in nats per dimension."""
        x = self.observed(inputs)
        params = self(inputs, training=training)
        reconstruction = ops.mean(self.likelihood.loss(params, x, training=training)) / _dimensions(x)
        quantization = sum(of_this_replica(self.losses), ops.zeros((), "float32"))
        return {
            "loss": reconstruction + quantization,
            "reconstruction": reconstruction,
            "quantization": quantization,
        }

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool | None = True,
    ) -> Any:
        """The loss for `fit`, from the forward pass that `fit` has made (`y_pred` are the parameters).

        Targets are ignored, x is its own. Raises: ValueError for sample weights.
        """
        del y
        observed = self.observed(x)
        loss = ops.mean(self.likelihood.loss(y_pred, observed, training=training)) / _dimensions(observed)
        return fit_loss(self, sum(of_this_replica(self.losses), loss), sample_weight)

    def elbo(self, inputs: Any, prior: Any = None, iw_samples: int = 1) -> dict[str, Any]:
        """Distortion -log p(x | z_q(x)), rate -log p(z) and their negative sum, nats `[batch]`.

        Without a `prior` it is uniform and counted in full: log K for every code. Paper: section 3.1.

        Equation: elbo = log sum_{k=1..M} p(x | z_k) p(z_k) <= log p(x), over M = `iw_samples` different codings: that
        of x and the M - 1 nearest that differ from it in one code (`nearby_codings` says which). The sets are nested,
        so a larger M never loosens the bound; M = 1 is the paper's. With M > 1 the rate is still that of the coding
        of x, and the distortion is the rest of the bound. One decoding at a time is in memory.

        Raises:
            ValueError: M > 1 with a residual quantizer, or more codings than there are.
        """
        z_e = self.encoded(inputs, training=False)
        if iw_samples == 1:
            return self.bound(self.quantizer.encode(z_e), inputs, prior)
        codings = nearby_codings(self.quantizer, z_e, iw_samples)
        distortion, rate = self._terms(codings[0], inputs, prior)

        def added(k: Any, total: Any) -> Any:
            return ops.logaddexp(total, -sum(self._terms(ops.take(codings, k, axis=0), inputs, prior)))

        total = ops.fori_loop(1, iw_samples, added, -distortion - rate)
        return {"elbo": total, "distortion": -total - rate, "rate": rate}

    def draw(self, inputs: Any, step: Any, seed: int = 0) -> tuple[Any, Any]:
        """Codes drawn from q(z | x), as in training, and log q of them: see `drawn_coding`."""
        return drawn_coding(self.quantizer, self.encoded(inputs, training=False), seed, step)

    def drawn_elbo(
        self, inputs: Any, step: Any, prior: Any = None, iw_samples: int = 1, seed: int = 0
    ) -> dict[str, Any]:
        """`elbo` with codes drawn from q(z | x), in place of the nearest: a bound on log p(x) in the mean over draws.

        Equation: log p(x) >= E_q[log p(x | z)] - KL(q(z | x) | p(z)), q of every code proportional to
        exp(-|z_e - e_k|^2 / temperature). The rate of a draw, log q(z | x) - log p(z), estimates the KL term: all that
        the paper counts, log K a code, less the entropy of q, since codes that nearly tie need not be told apart. With
        M = `iw_samples` draws: E log mean_k p(x | z_k) p(z_k) / q(z_k | x) (Burda et al. 2016), never looser; the rate
        is then still that of the first draw, and the distortion is the rest.
        Takida et al. 2022 (SQ-VAE, arXiv 2205.07547), equation 6. Differs from the paper: its q has no entropy.

        Args:
            inputs: images, or a batch of them, as for `elbo`.
            step: scalar int32; another step, other draws.
            prior: None: uniform, counted in full.
            iw_samples: M.
            seed: of the random numbers.

        Raises:
            ValueError: a quantizer that draws no codes.
        """

        def terms(k: Any) -> tuple[Any, Any]:
            codes, log_q = self.draw(inputs, step * iw_samples + k, seed)
            distortion, rate = self._terms(codes, inputs, prior)
            return distortion, rate + log_q

        distortion, rate = terms(0)
        total = ops.fori_loop(1, iw_samples, lambda k, sums: ops.logaddexp(sums, -sum(terms(k))), -distortion - rate)
        total = total - math.log(iw_samples)
        return {"elbo": total, "distortion": -total - rate, "rate": rate}

    def bound(self, codes: Any, inputs: Any, prior: Any = None) -> dict[str, Any]:
        """`elbo` of any codes, as of those that `search` finds: each coding gives a bound on log p(x)."""
        distortion, rate = self._terms(codes, inputs, prior)
        return {"elbo": -distortion - rate, "distortion": distortion, "rate": rate}

    def code_loss(self, codes: Any, inputs: Any) -> Any:
        """What training minimises of the reconstruction, under any codes, nats `[batch]`."""
        return self.likelihood.loss(self.decode_params(codes, condition(inputs)), self.observed(inputs))

    def distortion(self, codes: Any, inputs: Any) -> Any:
        """-log p(x | codes), nats `[batch]`."""
        return -self.likelihood.log_prob(self.decode_params(codes, condition(inputs)), self.observed(inputs))

    def _terms(self, codes: Any, inputs: Any, prior: Any) -> tuple[Any, Any]:
        """-log p(x | codes) and -log p(codes), nats `[batch]`."""
        distortion = self.distortion(codes, inputs)
        if prior is None:
            nats = _dimensions(codes) * math.log(self.quantizer.num_codes)
            return distortion, ops.full_like(distortion, nats)
        return distortion, -prior.log_prob(codes, condition(inputs))

    def get_config(self) -> dict[str, Any]:
        """The parts, serialised."""
        parts = {name: keras.saving.serialize_keras_object(getattr(self, name)) for name in self.PARTS}
        return {**super().get_config(), **parts}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> VQVAE:
        """The inverse of `get_config`."""
        parts = {
            name: keras.saving.deserialize_keras_object(config[name], custom_objects=custom_objects)
            for name in cls.PARTS
        }
        return cls(**{**config, **parts})


def _dimensions(x: Any) -> Any:
    """How many numbers an example has, float32, also where the size of a picture is known only once it comes."""
    return ops.cast(math.prod(ops.shape(x)[1:]), "float32")


def observation(inputs: Any) -> Any:
    """x itself: the tensor, or what a batch dictionary holds under "x"."""
    return inputs["x"] if isinstance(inputs, dict) else inputs


def condition(inputs: Any) -> dict[str, Any] | None:
    """What p(z) and p(x | z) may be conditioned on: everything of a batch dictionary but "x"; else None."""
    if not isinstance(inputs, dict):
        return None
    return {key: value for key, value in inputs.items() if key != "x"} or None
