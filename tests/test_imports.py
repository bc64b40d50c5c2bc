"""Arrows between the packages point one way, and the core is pure Keras."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import vq_vae_tf

ROOT = Path(vq_vae_tf.__file__).parent
LEAVES = {"disk", "errors", "files", "option", "progress", "version"}
LAYERS = [
    {"ops"},
    {"quantizers", "autoregressive", "modalities", "batches", "search"},
    {"budget"},
    {"vqvae", "prior", "autoregressive_decoder", "autoregressive_waveform"},
    {"hierarchy", "joint", "dynamics", "second_stage", "conversion", "compression", "windows", "consensus"},
    {"plain_fit"},
    {"codes", "packed", "training", "evaluation", "serving"},
    {"settings"},
    {"config"},
    {"build_likelihood", "build_network"},
    {"build_quantizer", "build_prior"},
    {"build", "build_audio", "build_options"},
    {"pipeline"},
    {"commands"},
]
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}
MAY_MEET = {("modalities", "batches")}  # data sources are made of the shared batch machinery
TENSORFLOW_FREE = (
    "ops",
    "quantizers",
    "autoregressive",
    "search",
    "budget",
    "vqvae",
    "prior",
    "hierarchy",
    "joint",
    "second_stage",
    "conversion",
    "compression",
    "plain_fit",
    "dynamics",
    "windows",
    "consensus",
    "option",
    "settings",
    "config",
    "errors",
    "files",
)
MODULES = sorted(ROOT.rglob("*.py"))


def area(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """Absolute names of what a module imports from anywhere, also inside functions, not for type checking only."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            node.body = []
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.add(node.module)
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def own(names: set[str]) -> set[str]:
    return {n.split(".")[1] for n in names if n.startswith("vq_vae_tf.")} & (set(RANK) | LEAVES)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_arrows_point_one_way(path):
    here = area(path)
    if here == "__init__":
        return
    assert here in RANK or here in LEAVES, f"{here} has no place among the layers"
    for target in own(imported(path)) - LEAVES - {here}:
        assert here not in LEAVES, f"{here} is a leaf, it may not import {target}"
        ok = RANK[target] < RANK[here] or (here, target) in MAY_MEET
        assert ok, f"{here} may not import {target}"


@pytest.mark.parametrize(
    "path",
    [p for p in MODULES if area(p) in TENSORFLOW_FREE or p.stem in ("encoder", "decoder", "residual", "scale")]
    + sorted((ROOT / "modalities").glob("*/likelihood/*.py")),
    ids=lambda p: str(p.relative_to(ROOT)),
)
def test_core_does_not_need_tensorflow(path):
    found = {name for name in imported(path) if name.split(".")[0] == "tensorflow"}
    if path.name in ("replicas.py", "compiled.py"):
        return  # the one place that knows of replicas asks for TensorFlow when that is the backend
    assert not found


def test_import_is_light():
    code = "import sys, vq_vae_tf; print(sorted({'tensorflow', 'keras', 'matplotlib', 'vizdoom'} & set(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "[]"


def test_public_names_exist():
    for name in vq_vae_tf.__all__:
        assert getattr(vq_vae_tf, name) is not None
    assert set(vq_vae_tf.__all__) == set(dir(vq_vae_tf))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = vq_vae_tf.nothing
