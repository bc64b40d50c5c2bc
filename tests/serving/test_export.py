"""What lies in a version folder, and that it is there whole or not at all."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from vq_vae_tf.errors import UserError
from vq_vae_tf.prior import UniformPrior
from vq_vae_tf.serving import export as export_module
from vq_vae_tf.serving import verify as verify_module
from vq_vae_tf.serving.export import METADATA, export_image_model, on_cpu
from vq_vae_tf.serving.verify import verify
from vq_vae_tf.serving.versions import appearing, new_version

CLEAN = Path(verify_module.__file__).with_name("clean_process.py")
ROOT = CLEAN.parents[2]


def test_the_version_folder_is_alone_and_describes_itself(exported):
    assert exported.name == "1"
    assert os.listdir(exported.parent) == ["1"]
    described = json.loads((exported / METADATA).read_text())
    assert described["class_names"] == ["ant", "bee", "cow"]
    assert (described["image_shape"], described["code_shape"], described["num_codes"]) == ([8, 8, 3], [2, 2], 8)
    assert described["num_labels"] == 3
    assert described["signatures"]["complete"]["inputs"]["keep_mask"] == {"dtype": "int32", "shape": [None, 2, 2]}
    assert described["signatures"]["log_prob"]["outputs"] == {"log_prob": {"dtype": "float32", "shape": [None]}}


def test_weights_are_there_once_and_only_those_that_serve(exported, vqvae, prior):
    reader = tf.train.load_checkpoint(str(exported / "variables" / "variables"))
    shapes = reader.get_variable_to_shape_map()
    stored = sum(math.prod(shape) for name, shape in shapes.items() if "_CHECKPOINTABLE" not in name)
    every = vqvae.count_params() + prior.count_params()
    trained = sum(math.prod(weight.shape) for weight in (*vqvae.trainable_weights, *prior.trainable_weights))
    assert trained <= stored <= every - math.prod(vqvae.quantizer.code_counts.shape)
    model = saved_model_pb2.SavedModel()
    model.ParseFromString((exported / "saved_model.pb").read_bytes())
    graph = model.meta_graphs[0].graph_def
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    constants = [node.attr["value"].tensor for node in nodes if node.op == "Const"]
    floats = [constant.ByteSize() for constant in constants if constant.dtype == tf.float32.as_datatype_enum]
    assert max(floats) < 200, "a weight was frozen into the graph"


def test_a_clean_process_needs_neither_this_package_nor_keras(exported, images, vqvae, tmp_path):
    np.savez(tmp_path / "requests.npz", **{"encode/image": images})
    code = (
        "import runpy, sys, tensorflow\n"
        "for name in [name for name in sys.modules if name.split('.')[0] == 'keras']: del sys.modules[name]\n"
        "sys.modules['keras'] = None\n"
        "script, model, requests, answers, root = sys.argv[1:]\n"
        "sys.path.insert(0, root)\n"
        "runpy.run_path(script)['main'](model, requests, answers)\n"
        "assert 'vq_vae_tf' not in sys.modules\n"
        "try:\n    import vq_vae_tf\nexcept ModuleNotFoundError:\n    print('hidden')\n"
    )
    arguments = [str(CLEAN), str(exported), str(tmp_path / "requests.npz"), str(tmp_path / "answers.npz"), str(ROOT)]
    done = subprocess.run([sys.executable, "-I", "-c", code, *arguments], capture_output=True, text=True, timeout=600)
    assert done.stdout.strip() == "hidden", done.stderr[-2000:]
    with np.load(tmp_path / "answers.npz", allow_pickle=False) as file:
        np.testing.assert_array_equal(file["encode/codes"], vqvae.encode(images))


def test_a_disagreeing_clean_process_leaves_nothing(vqvae, images, tmp_path, monkeypatch):
    def silent(model, requests):
        assert model.name.startswith(".1."), "compared before it is renamed"
        assert (model / "saved_model.pb").exists()
        assert set(requests) == {"encode", "encode_png", "decode", "reconstruct", "elbo"}
        return {}

    monkeypatch.setattr(verify_module, "answers_of_clean_process", silent)
    with pytest.raises(UserError, match="'reconstruct' gives another 'image'"):
        export_image_model(vqvae, None, tmp_path / "exports", "small", images=images)
    assert not (tmp_path / "exports").exists()


def test_a_clean_process_that_fails_is_a_user_error(tmp_path, monkeypatch):
    false = tmp_path / "python"
    false.write_text("#!/bin/sh\necho 'OSError: no SavedModel' >&2\nexit 3\n")
    false.chmod(0o755)
    monkeypatch.setattr(verify_module.sys, "executable", str(false))
    with pytest.raises(UserError, match=r"could not run it \(OSError: no SavedModel\)"):
        verify(tmp_path, {"f": {"x": np.zeros(1)}}, {})


@pytest.mark.parametrize(
    ("output", "ours", "theirs", "agrees"),
    [
        ("codes", [1, 2], [1, 2], True),
        ("codes", [1, 2], [1, 3], False),
        ("image", [0, 255], [1, 254], True),
        ("image", [0, 255], [2, 255], False),
        ("video", [0, 255], [1, 254], True),
        ("video", [0, 255], [2, 255], False),
        ("log_prob", [-100.0, 0.0], [-100.009, 0.00009], True),
        ("log_prob", [-100.0, 0.0], [-100.02, 0.0], False),
        ("log_prob", [-100.0, 0.0], [float("nan"), 0.0], False),
    ],
)
def test_what_counts_as_agreement(output, ours, theirs, agrees, monkeypatch):
    dtype = {"codes": np.int32, "image": np.uint8, "video": np.uint8, "log_prob": np.float32}[output]
    given = {f"f/{output}": np.array(theirs, dtype)}
    monkeypatch.setattr(verify_module, "answers_of_clean_process", lambda model, requests: given)
    if agrees:
        verify(Path(), {}, {"f": {output: np.array(ours, dtype)}})
    else:
        with pytest.raises(UserError, match=f"signature 'f' gives another '{output}'"):
            verify(Path(), {}, {"f": {output: np.array(ours, dtype)}})


def test_an_answer_of_another_shape_type_or_none_at_all_is_no_agreement(monkeypatch):
    for given in ({}, {"f/codes": np.zeros(3, np.int32)}, {"f/codes": np.zeros(2, np.int64)}):
        monkeypatch.setattr(verify_module, "answers_of_clean_process", lambda model, requests, given=given: given)
        with pytest.raises(UserError, match=r"instead of int32 \(2,\)"):
            verify(Path(), {}, {"f": {"codes": np.zeros(2, np.int32)}})


def test_versions_count_up_and_are_refused(tmp_path):
    assert new_version(tmp_path, "m", None) == tmp_path / "m" / "1"
    for name in ("3", "10", "notes", ".11.x.partial"):
        (tmp_path / "m" / name).mkdir(parents=True)
    assert new_version(tmp_path, "m", None).name == "11"
    assert new_version(tmp_path, "m", 2).name == "2"
    with pytest.raises(UserError, match=r"m/3 exists; choose another version"):
        new_version(tmp_path, "m", 3)
    for wrong in (0, -1, True, "2"):
        with pytest.raises(UserError, match="expected a positive integer"):
            new_version(tmp_path, "m", wrong)
    for wrong in ("", "a/b", "..", ".hidden"):
        with pytest.raises(UserError, match="choose another"):
            new_version(tmp_path, wrong, None)


def test_an_existing_version_is_refused_before_any_work_and_stays(exported, vqvae, images, monkeypatch):
    before = {path: path.stat().st_mtime_ns for path in exported.rglob("*")}
    monkeypatch.setattr(export_module, "ImageEndpoints", None)
    with pytest.raises(UserError, match="exists; choose another version"):
        export_image_model(vqvae, None, exported.parents[1], "small", images=images, version=1)
    assert {path: path.stat().st_mtime_ns for path in exported.rglob("*")} == before


def test_a_kill_leaves_no_version_and_the_next_export_cleans_up(tmp_path):
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from vq_vae_tf.serving.versions import appearing\n"
        "with appearing(Path(sys.argv[1])) as partial:\n"
        "    (partial / 'half').write_text('x')\n"
        "    print('writing', flush=True)\n"
        "    time.sleep(600)\n"
    )
    folder = tmp_path / "m" / "1"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    child = subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, env=environment)
    try:
        assert child.stdout.readline() == b"writing\n"
        with appearing(tmp_path / "m" / "2"):  # while the other one lives it is left alone
            assert len(list(folder.parent.glob(".1.*.partial/half"))) == 1
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
    assert not folder.exists()
    with appearing(folder) as partial:
        (partial / "whole").write_text("x")
    assert sorted(path.name for path in folder.parent.iterdir()) == ["1", "2"]
    assert os.listdir(folder) == ["whole"]


def test_an_exception_leaves_nothing_and_a_race_is_refused(tmp_path):
    folder = tmp_path / "made" / "m" / "1"
    with pytest.raises(KeyboardInterrupt), appearing(folder):
        raise KeyboardInterrupt
    assert not (tmp_path / "made").exists()

    def race():
        with appearing(folder):
            folder.mkdir()
            (folder / "theirs").write_text("x")

    with pytest.raises(UserError, match="appeared meanwhile"):
        race()
    assert os.listdir(folder.parent) == ["1"]


def test_a_place_that_cannot_be_written_is_one_sentence(vqvae, images, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot be (read|written).*choose another"):
        export_image_model(vqvae, None, tmp_path / "file", "small", images=images)


def test_wrong_examples_and_a_foreign_prior_are_refused(vqvae, images, tmp_path):
    for wrong, label in ((images.astype("float32"), None), (images[:0], None), (images[0], None), (images, [1])):
        with pytest.raises(UserError, match="compared on images"):
            export_image_model(vqvae, None, tmp_path, "small", images=wrong, labels=label)
    with pytest.raises(UserError, match=r"prior is over codes \(2, 2\) of 16 values.*\(2, 2\) of 8"):
        export_image_model(vqvae, UniformPrior(16, (2, 2)), tmp_path, "small", images=images)
    assert not list(tmp_path.iterdir())


def test_a_copy_on_the_cpu_is_the_same_model(vqvae, prior, images, labels):
    copy = on_cpu(vqvae, (None, 8, 8, 3))
    assert copy is not vqvae
    codes = np.asarray(vqvae.encode(images))
    np.testing.assert_array_equal(copy.encode(images), codes)
    np.testing.assert_array_equal(copy.decode(codes), vqvae.decode(codes))
    condition = {"label": labels}
    np.testing.assert_array_equal(on_cpu(prior).log_prob(codes, condition), prior.log_prob(codes, condition))
