"""What an exported video model can be asked, and its export."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from vq_vae_tf.serving.checks import in_range, of_shape
from vq_vae_tf.serving.export import on_cpu, write_verified
from vq_vae_tf.serving.image import Answer, Endpoint, to_uint8
from vq_vae_tf.serving.versions import new_version

EXAMPLES = 2


class VideoEndpoints:
    """The functions behind the signatures of a video model.

    Video is uint8 `[batch, time, height, width, 3]`, codes int32 `[batch, time, h, w]`, any number of frames;
    `predict` takes exactly the past frames that the dynamics look at, and actions int32 `[batch, past_frames - 1 + n]`,
    of which actions[:, t] leads from frame t to frame t + 1, counted over the given and the n predicted frames: how
    fast one turns depends on how long one has been turning.

    Args:
        vqvae: a built `VQVAE` over frames.
        dynamics: a `Dynamics` over their codes, or None: then there is no `predict`.
        image_shape: (height, width, 3).
        temperature: of the draws.
        xla: compile the loop over frames and codes; it compiles again for every size of batch and number of actions.
    """

    def __init__(
        self, vqvae: Any, dynamics: Any, image_shape: tuple[int, ...], temperature: float = 1.0, xla: bool = True
    ) -> None:
        self.vqvae, self.dynamics, self.image_shape = vqvae, dynamics, tuple(image_shape)
        self.temperature, self.num_codes = temperature, int(vqvae.quantizer.num_codes)
        z_shape = vqvae.encoder.compute_output_shape((None, *image_shape))
        self.grid = tuple(int(size) for size in vqvae.quantizer.code_shape(tuple(z_shape[1:])))
        self.past_frames = 0 if dynamics is None else dynamics.past.context
        self.num_actions = 0 if dynamics is None else dynamics.past.num_actions
        past = tf.TensorSpec((None, self.past_frames, *self.grid), tf.int32)
        arguments = [past, tf.TensorSpec((None, None), tf.int32), tf.TensorSpec((), tf.int32)]
        self._loop = tf.function(self._imagined, arguments, autograph=False, jit_compile=xla)
        # Of all signatures, so that a SavedModel holds encoder and decoder once.
        frames, maps = tf.TensorSpec((None, *self.image_shape), tf.uint8), tf.TensorSpec((None, *self.grid), tf.int32)
        self._encode = tf.function(vqvae.encode, [frames], autograph=False)
        self._decode = tf.function(vqvae.decode, [maps], autograph=False)

    def endpoints(self) -> dict[str, Endpoint]:
        """Name of the signature -> function and arguments; the first is also `serving_default`."""
        video = tf.TensorSpec((None, None, *self.image_shape), tf.uint8, name="video")
        codes = tf.TensorSpec((None, None, *self.grid), tf.int32, name="codes")
        given: dict[str, Endpoint] = {
            "reconstruct": (self.reconstruct, [video]),
            "encode": (self.encode, [video]),
            "decode": (self.decode, [codes]),
        }
        if self.dynamics is not None:
            past = tf.TensorSpec((None, self.past_frames, *self.image_shape), tf.uint8, name="video")
            actions, seed = tf.TensorSpec((None, None), tf.int32, name="actions"), tf.TensorSpec((), tf.int32, "seed")
            given["predict"] = (self.predict, [past, actions, seed])
        return given

    def encode(self, video: tf.Tensor) -> Answer:
        """Frames -> codes, each frame by itself."""
        frames = of_shape(video, (None, None, *self.image_shape), "video")
        codes = self._encode(tf.reshape(frames, (-1, *self.image_shape)))
        return {"codes": tf.reshape(codes, tf.concat([tf.shape(video)[:2], self.grid], 0))}

    def decode(self, codes: tf.Tensor) -> Answer:
        """Codes -> frames, each frame by itself."""
        codes = in_range(of_shape(codes, (None, None, *self.grid), "codes"), self.num_codes, "codes")
        frames = to_uint8(self._decode(tf.reshape(codes, (-1, *self.grid))))
        return {"video": tf.reshape(frames, tf.concat([tf.shape(codes)[:2], self.image_shape], 0))}

    def reconstruct(self, video: tf.Tensor) -> Answer:
        """Frames -> what their codes say of them."""
        return self.decode(self.encode(video)["codes"])

    def predict(self, video: tf.Tensor, actions: tf.Tensor, seed: tf.Tensor) -> Answer:
        """Past frames and actions -> the frames that follow, and their codes."""
        video = of_shape(video, (None, self.past_frames, *self.image_shape), "video")
        actions = in_range(actions, self.num_actions, "actions") if self.num_actions else actions
        same = tf.debugging.assert_equal(
            tf.shape(video)[0], tf.shape(actions)[0], "video and actions: expected as many of one as of the other"
        )
        enough = tf.debugging.assert_greater_equal(
            tf.shape(actions)[1],
            self.past_frames,
            f"actions: expected at least {self.past_frames} a video, the {self.past_frames - 1} between its frames and "
            "those that lead to the predicted ones",
        )
        with tf.control_dependencies([same, enough]):
            codes = self._loop(self.encode(video)["codes"], actions, seed)
        return {"video": self.decode(codes)["video"], "codes": codes}

    def _imagined(self, past: tf.Tensor, actions: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        return self.dynamics.rollout(past, actions, seed, self.temperature)


def export_video_model(
    vqvae: Any,
    dynamics: Any,
    directory: str | os.PathLike[str],
    name: str,
    *,
    video: np.ndarray,
    actions: np.ndarray,
    action_names: tuple[str, ...],
    temperature: float = 1.0,
    version: int | None = None,
    metadata: Mapping[str, Any] | None = None,
    xla: bool = True,
) -> Path:
    """Writes `<directory>/<name>/<version>`, a SavedModel with the signatures of `VideoEndpoints`, verified.

    video: uint8 `[n, time, height, width, 3]` to compare on, at least the past frames; the first two are used.
    actions: int32 `[n, time]`, as `predict` takes them; two frames are predicted. action_names: kept beside the model.

    Raises:
        UserError: the version exists, the folder cannot be written, or the clean process gives other results.
    """
    folder = new_version(directory, name, version)
    video, actions = np.asarray(video)[:EXAMPLES], np.asarray(actions, np.int32)[:EXAMPLES]
    shape = video.shape[2:]
    if tf.config.list_physical_devices("GPU"):  # the clean process answers on the CPU: so must this one
        vqvae, dynamics = on_cpu(vqvae, (None, *shape)), on_cpu(dynamics) if dynamics is not None else None
    endpoints = VideoEndpoints(vqvae, dynamics, shape, temperature, xla)
    facts = {"image_shape": shape, "code_shape": endpoints.grid, "num_codes": endpoints.num_codes, "xla": xla}
    facts |= {"past_frames": endpoints.past_frames, "action_names": action_names, "temperature": temperature}
    requests = _requests(endpoints, video, actions)
    warm = {name: request for name, request in _requests(endpoints, video[:1], actions[:1]).items()}
    if xla:
        warm.pop("predict", None)
    write_verified(folder, endpoints, requests, warm, {**(metadata or {}), **facts})
    return folder


def _requests(endpoints: VideoEndpoints, video: np.ndarray, actions: np.ndarray) -> dict[str, dict[str, np.ndarray]]:
    codes = np.asarray(endpoints.vqvae.encode(video.reshape(-1, *video.shape[2:])))
    requests: dict[str, dict[str, Any]] = {
        "reconstruct": {"video": video},
        "encode": {"video": video},
        "decode": {"codes": codes.reshape(*video.shape[:2], *endpoints.grid)},
    }
    if endpoints.dynamics is not None:
        past = video[:, : endpoints.past_frames]
        requests["predict"] = {"video": past, "actions": actions[:, : endpoints.past_frames + 1], "seed": np.int32(7)}
    return requests
