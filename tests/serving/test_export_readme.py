"""exports/README.md names every signature, its arguments and its results, and none that is not there."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from vq_vae_tf.config import recipes_directory
from vq_vae_tf.quantizers import VectorQuantizer
from vq_vae_tf.serving.audio import AudioEndpoints
from vq_vae_tf.serving.export import METADATA
from vq_vae_tf.serving.image import ImageEndpoints
from vq_vae_tf.serving.video import VideoEndpoints

EXPORTS = Path(__file__).parents[2] / "exports"
README = (EXPORTS / "README.md").read_text(encoding="utf-8")
HEADINGS = {"image": "Images", "audio": "Speech", "video": "Video"}
SHIPPED = {folder.relative_to(EXPORTS).as_posix(): folder for folder in sorted(EXPORTS.glob("*/[0-9]*"))}


def named(cell):
    """Words in code type that are names: no shapes, flags or files."""
    return re.findall(r"`([a-z_]+)`", cell)


def rows(heading):
    """The cells of every row of the table below a heading."""
    text = re.search(rf"^#+ {heading}\n(.*?)(?=^#|\Z)", README, re.DOTALL | re.MULTILINE)[1]
    table = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2:]]


def promised(modality):
    """Signature -> names of what it takes and gives; and those that are also the default."""
    found, defaults = {}, []
    for names, takes, gives in rows(HEADINGS[modality]):
        name, *others = named(names)
        assert name not in found
        found[name] = (set(named(takes)), set(named(gives)))
        defaults += [name] * len(others)
        assert others in ([], ["serving_default"])
    return found, defaults


def fullest(modality):
    """Endpoints of a model that has all it takes to offer every signature; nothing of it ever runs."""
    encoder = SimpleNamespace(hop=4, compute_output_shape=lambda shape: (None, 2, 2, 4))
    model = SimpleNamespace(encoder=encoder, quantizer=VectorQuantizer(8, 4, temperature=0.1), likelihood=None)
    model.encode = model.decode = lambda x: x
    network = SimpleNamespace(num_symbols=8, symbol_shape=(2, 2), num_labels=3)
    prior = SimpleNamespace(network=network, past=SimpleNamespace(context=6, num_actions=5))
    if modality == "audio":
        return AudioEndpoints(model, prior, window=16, rate=8000, num_speakers=3)
    return {"image": ImageEndpoints, "video": VideoEndpoints}[modality](model, prior, (8, 8, 3))


def told(folder):
    """What an export says of itself."""
    return json.loads((folder / METADATA).read_text(encoding="utf-8"))


@pytest.mark.parametrize("modality", HEADINGS)
def test_the_table_names_what_the_endpoints_offer_and_nothing_else(modality):
    model = fullest(modality)
    offered = {name: {spec.name for spec in arguments} for name, (_, arguments) in model.endpoints().items()}
    found, defaults = promised(modality)
    assert {name: takes for name, (takes, _) in found.items()} == offered
    assert defaults == [next(iter(offered))]
    public = {name for name, _ in inspect.getmembers(model, inspect.ismethod) if not name.startswith("_")}
    assert public - {"endpoints"} == set(offered), "one is offered under a condition that `fullest` does not meet"


@pytest.mark.parametrize("folder", SHIPPED.values(), ids=SHIPPED)
def test_every_shipped_export_is_as_the_table_says(folder):
    metadata = told(folder)
    found, _ = promised(metadata["config"]["modality"])
    asked = {name: (set(one["inputs"]), set(one["outputs"])) for name, one in metadata["signatures"].items()}
    assert asked == {name: found.get(name) for name in asked}


def test_all_that_ships_is_listed_with_its_recipe():
    table = {export.strip("`"): recipe.strip("`") for export, recipe, _ in rows("What ships")}
    assert table.keys() == SHIPPED.keys()
    for export, recipe in table.items():
        flags = (recipes_directory() / recipe).read_text(encoding="utf-8").splitlines()
        assert f"--export_name={told(SHIPPED[export])['config']['export_name']}" in flags
