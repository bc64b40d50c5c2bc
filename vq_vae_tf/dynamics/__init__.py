"""Video imagined in the space of codes: the next frame's codes from those before it and the actions taken."""

from vq_vae_tf.dynamics.camera import Camera
from vq_vae_tf.dynamics.foresight import Foresight
from vq_vae_tf.dynamics.frames import FRAME_SEED, Dynamics
from vq_vae_tf.dynamics.motion import Motion
from vq_vae_tf.dynamics.parallax import Parallax
from vq_vae_tf.dynamics.past import PastEncoder

__all__ = ["FRAME_SEED", "Camera", "Dynamics", "Foresight", "Motion", "Parallax", "PastEncoder"]
