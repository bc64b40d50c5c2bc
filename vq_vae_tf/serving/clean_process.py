"""Loads a SavedModel as a stranger would and answers requests with it; `verify` runs it, nobody imports it.

`python -I clean_process.py MODEL REQUESTS ANSWERS`: REQUESTS and ANSWERS are .npz files with one array a name
`<signature>/<argument>`. Needs TensorFlow and NumPy; vq_vae_tf cannot be imported here even where it is installed.
"""

from __future__ import annotations

import sys
from typing import Any


class _Absent:
    """A finder that knows of no vq_vae_tf: an editable installation would otherwise be found by `python -I` too."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if name.partition(".")[0] == "vq_vae_tf":
            raise ModuleNotFoundError(f"{name} is hidden: an export must work without it", name=name)


def main(model: str, requests: str, answers: str) -> None:
    """Answers every request and writes the outputs."""
    sys.meta_path.insert(0, _Absent())
    import numpy as np
    import tensorflow as tf

    asked: dict[str, dict[str, tf.Tensor]] = {}
    with np.load(requests, allow_pickle=False) as file:
        for key in file.files:
            signature, argument = key.split("/")
            asked.setdefault(signature, {})[argument] = tf.constant(file[key])
    loaded = tf.saved_model.load(model)
    given = {
        f"{signature}/{output}": value.numpy()
        for signature, arguments in asked.items()
        for output, value in loaded.signatures[signature](**arguments).items()
    }
    np.savez(answers, **given)


if __name__ == "__main__":
    main(*sys.argv[1:])
