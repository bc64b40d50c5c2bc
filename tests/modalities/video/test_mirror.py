"""Left is right in a mirror."""

from __future__ import annotations

import pytest

from vq_vae_tf.modalities.video.mirror import mirrored_actions


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("forward", "forward_left", "forward_right", "left", "right"), (0, 2, 1, 4, 3)),
        (("left right", "right left", "stop"), (1, 0, 2)),
        ((), (0,)),
        (("x-y0", "x0y0", "x+y0"), None),
        (("left", "forward"), None),
        (("turn_left", "turn_right", "strafe_left"), None),
    ],
)
def test_actions_in_a_mirror(names, expected):
    assert mirrored_actions(names) == expected
