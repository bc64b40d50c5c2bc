from __future__ import annotations

import numpy as np
import tensorflow as tf

import vq_vae_tf as vq
from vq_vae_tf.modalities.image.data import open_image_data
from vq_vae_tf.pipeline.summaries import vqvae_summaries


def test_pictures_and_codes_reach_the_event_file(tmp_path, events):
    for i in range(12):
        image = np.full((8, 8, 3), 20 * i, np.uint8)
        (tmp_path / f"{i:02d}.png").write_bytes(tf.io.encode_png(image).numpy())
    data = open_image_data(f"folder:{tmp_path}")
    model = vq.VQVAE(
        vq.ImageEncoder(4, units=8, residual_units=4, residual_blocks=1),
        vq.VectorQuantizer(8, 4),
        vq.ImageDecoder(3, units=8, residual_units=4, residual_blocks=1),
        vq.Gaussian(0.03),
    )
    model.build((None, 8, 8, 3))
    writer = tf.summary.create_file_writer(str(tmp_path / "events"))
    vqvae_summaries(data)(model, 7, writer)
    writer.close()
    found = events(tmp_path / "events")
    step, picture = found["originals beside reconstructions"]
    assert step == 7
    decoded = tf.io.decode_png(picture.string_val[2])
    shown = min(16, data.sizes["test"])
    first = next(iter(data.examples("test", shown)))["x"].numpy()[0]
    assert any(
        (decoded[top : top + 8, :, :3].numpy()[:, left : left + 8] == first).all()
        for top in range(4)
        for left in range(4)
    )
    assert "codes" in found
