"""Video data by name: a folder of episodes, walks through ViZDoom maps, or a TFDS data set, behind one contract."""

from __future__ import annotations

from pathlib import Path

from vq_vae_tf.modalities.video.folder import open_folder
from vq_vae_tf.modalities.video.source import VideoData


def open_video_data(
    dataset: str,
    data_dir: str | Path | None = None,
    image_size: int = 0,
    clip_length: int = 16,
    validation_size: int = 0,
    max_examples: int = 0,
) -> VideoData:
    """Opens video by name: "folder:/path", "vizdoom" or "vizdoom/<configuration>", or a TFDS name.

    data_dir: where TFDS data and rendered walks are kept; None or "" is TFDS's default. image_size: pixels; frames are
    cut to a centred square and resized to it; 0 keeps them as they are. clip_length: frames of a clip.
    validation_size, max_examples: clips (of a folder: episodes) held out of training, and of each split at most.

    Raises: UserError when the data set is not there or cannot be read.
    """
    if dataset.startswith("folder:"):
        path = dataset.removeprefix("folder:")
        return open_folder(path, image_size, clip_length, validation_size, max_examples)
    if dataset == "vizdoom" or dataset.startswith("vizdoom/"):
        from vq_vae_tf.modalities.video import vizdoom  # imports TFDS, which takes seconds

        return vizdoom.open_vizdoom(dataset, data_dir or None, image_size, clip_length, validation_size, max_examples)
    from vq_vae_tf.modalities.video import tfds_source

    return tfds_source.open_tfds(dataset, data_dir or None, image_size, clip_length, validation_size, max_examples)
