"""Packaging of vq_vae_tf; `pip install .` gives the package and its console commands."""

import re
from pathlib import Path

from setuptools import find_packages, setup

COMMANDS = ("train", "encode", "evaluate", "sample", "export", "convert", "compress", "decompress")
VERSION = re.search(r'VERSION = "(.+)"', Path(__file__).with_name("vq_vae_tf").joinpath("version.py").read_text())[1]

setup(
    name="vq_vae_tf",
    version=VERSION,
    description="VQ-VAE (van den Oord et al., 2017) for TensorFlow and Keras 3: train, sample, score, serve",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=find_packages(include=["vq_vae_tf", "vq_vae_tf.*"]),
    package_data={"vq_vae_tf": ["recipes/*.flags", "py.typed"]},
    install_requires=[
        "tensorflow>=2.17",
        "keras>=3.12",  # 3.11 cannot compile what revives unused codes (searchsorted of a symbolic tensor)
        "tensorflow-datasets>=4.9.7",
        "importlib-resources>=5.0",  # TFDS needs it to download and declares it for old Pythons only
        "numpy>=1.26",
        "absl-py>=2.1",
        "matplotlib>=3.9",
        "pillow>=10",
    ],
    extras_require={
        # 0.37.1, the last tensorflow-io, loads on no newer TensorFlow; that one's protobuf loads no newer metadata.
        "audio": ["tensorflow-io>=0.37.1", "tensorflow<2.18", "tensorflow-metadata<1.17"],
        "vizdoom": ["vizdoom>=1.2.4"],
        "video": ["av>=12"],
        "dev": ["pytest>=8", "hypothesis>=6.100", "pytest-xdist>=3.6", "ruff>=0.6", "mypy>=1.11", "tensorboard>=2.17"],
    },
    entry_points={"console_scripts": [f"vq-vae-{name}=vq_vae_tf.commands.{name}:main" for name in COMMANDS]},
    classifiers=[
        "License :: OSI Approved :: Apache Software License",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
