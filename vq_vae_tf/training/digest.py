"""One number that says which weights these are."""

from __future__ import annotations

import hashlib

import keras
import numpy as np


def weights_digest(model: keras.Model) -> str:
    """SHA-256 over a model's weights in order (position, name, type, shape, bytes), as 64 hexadecimal digits.

    Layer names are left out, since Keras numbers them by what else was built in the process; so are counts of
    codes (`code_counts`), which are statistics of a pass over data and not part of the model.
    """
    digest = hashlib.sha256()
    for index, variable in enumerate(v for v in model.weights if v.name != "code_counts"):
        value = np.ascontiguousarray(keras.ops.convert_to_numpy(variable))
        digest.update(f"{index}:{variable.name}:{value.dtype}:{value.shape};".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()
