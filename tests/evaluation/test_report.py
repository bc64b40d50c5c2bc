"""Pictures keep their pixels; the page is well formed, says every number and needs nothing but itself."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from vq_vae_tf.evaluation import plots
from vq_vae_tf.evaluation.grids import beside_grid, encode_png, grid_png, image_grid, upscale
from vq_vae_tf.evaluation.image_report import ImageRun, compression_ratio, heading, image_report
from vq_vae_tf.evaluation.likelihood import LikelihoodScores
from vq_vae_tf.evaluation.prior import PriorScores
from vq_vae_tf.evaluation.reconstruction import ReconstructionScores
from vq_vae_tf.evaluation.report import (
    Number,
    Picture,
    Report,
    Row,
    Section,
    Settings,
    Table,
    counted,
    format_number,
    render,
    write_report,
)

METRICS = {"VQ-VAE": [{"step": s, "loss": 1 / s, "perplexity": float(s)} for s in range(1, 50)]}
VOID = {"meta", "img", "source", "br"}


def _images(n, side=8, channels=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, side, side, channels)).astype(np.uint8)


def _pixels(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGBA"))


def _run(**changes):
    values = {
        "name": "smoke <run>",
        "dataset": "cifar10",
        "split": "test",
        "num_codes": 16,
        "code_shape": (2, 2),
        "counts": np.arange(16),
        "reconstruction": ReconstructionScores(1234, 0.0031, 0.0489, 25.09, 0.871),
        "originals": _images(6),
        "reconstructions": _images(6, seed=1),
        "likelihood": {"uniform": LikelihoodScores(1234, 192, 4.61, 2.73, 1.88, 613.5, 0.004)},
        "prior": PriorScores(1234, 4936, 4.0, 3.7, 2.875),
        "samples": {"cat & dog": _images(3, seed=2), "ship": _images(3, seed=3)},
        "settings": {"Data": {"dataset": "cifar10", "augment": False, "data_dir": ""}},
        "facts": ["seed 0"],
    }
    return ImageRun(**{**values, **changes})


class _Checker(HTMLParser):
    """Every tag closed in order; remembers attributes."""

    def __init__(self):
        super().__init__()
        self.stack, self.found = [], []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.stack.append(tag)

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag


def _check(page):
    checker = _Checker()
    checker.feed(page)
    assert checker.stack == []
    return checker.found


def test_a_grid_holds_every_image_where_it_belongs():
    images = _images(5)
    grid = image_grid(images, columns=3, gap=2)
    assert grid.shape == (18, 28, 4)
    np.testing.assert_array_equal(grid[0:8, 10:18, :3], images[1])
    np.testing.assert_array_equal(grid[10:18, 10:18, :3], images[4])
    assert grid[0:8, 8:10, 3].max() == 0  # between images: transparent
    assert grid[10:18, 20:, 3].max() == 0  # no sixth image


def test_grey_images_become_grey_pictures():
    images = _images(2, channels=1)
    np.testing.assert_array_equal(image_grid(images, 2)[:8, :8, :3], np.repeat(images[0], 3, axis=-1))


def test_an_image_has_its_other_versions_to_its_right():
    x, y, z = _images(3), _images(3, seed=1).astype(np.float32) + 0.3, _images(3, seed=2)
    grid = beside_grid([x, y, z], columns=1)
    np.testing.assert_array_equal(grid[10:18, 16:24, :3], z[1])
    np.testing.assert_array_equal(grid[10:18, 0:8, :3], x[1])
    np.testing.assert_array_equal(grid[10:18, 8:16, :3], np.rint(y[1]).clip(0, 255))


def test_png_keeps_pixels_and_upscaling_makes_squares():
    images = _images(2)
    grid = image_grid(images, 2)
    np.testing.assert_array_equal(_pixels(encode_png(grid)), grid)
    np.testing.assert_array_equal(_pixels(grid_png(images, 2, factor=3)), upscale(grid, 3))
    np.testing.assert_array_equal(upscale(grid, 3)[3:6, 6:9], np.broadcast_to(grid[1, 2], (3, 3, 4)))


@pytest.mark.parametrize("shape", [(8, 8, 3), (2, 8, 8, 2), (0, 8, 8, 3)])
def test_a_grid_of_something_else_is_refused(shape):
    with pytest.raises(ValueError, match="image_grid"):
        image_grid(np.zeros(shape), 2)


def test_curves_leave_out_what_was_not_logged_or_is_not_finite():
    records = [{"step": 1, "loss": 2.0}, {"step": 2, "loss": float("nan")}, {"step": 3, "loss": 1.0, "rare": 5}]
    steps, values = plots._series(records, "loss")
    assert (list(steps), list(values)) == ([1, 3], [2.0, 1.0])
    for panels in ({"loss": ["loss", "rare"], "never": ["never"]}, {"never": ["never"]}):
        assert _pixels(plots.training_curves(records, panels)).shape[1] > 100


def test_smoothing_is_a_centred_mean():
    values = np.random.default_rng(0).normal(size=100)
    smooth = plots._smooth(values)
    assert smooth[50] == pytest.approx(values[48:53].mean())
    assert smooth[0] == pytest.approx(values[:3].mean())
    np.testing.assert_allclose(plots._smooth(np.arange(3.0)), np.arange(3.0))


def test_code_usage_of_one_and_of_several_codebooks_draws_ink():
    for counts in (np.arange(16), np.arange(32).reshape(2, 16), np.zeros(4)):
        light, dark = (_pixels(plots.code_usage(counts, theme)) for theme in (plots.LIGHT, plots.DARK))
        assert light[..., 3].max() > 0
        assert light[0, 0, 3] == 0  # transparent ground
        assert light.shape == dark.shape
        assert not np.array_equal(light, dark)


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (1234567, 3, "1\u2009234\u2009567"),
        (0.04891, 4, "0.0489"),
        (-2.5, 1, "−2.5"),
        (-0.0, 3, "0.000"),
        (-0.0004, 3, "0.000"),
        (-0.0006, 3, "−0.001"),
        (float("inf"), 2, "∞"),
        (float("nan"), 2, "–"),
        (None, 2, "–"),
        ("<b>", 2, "&lt;b&gt;"),
    ],
)
def test_numbers_as_text(value, digits, text):
    assert format_number(value, digits) == text


def test_one_is_not_plural():
    assert [counted(n, "picture") for n in (0, 1, 2, 1234)] == [
        "0 pictures",
        "1 picture",
        "2 pictures",
        "1,234 pictures",
    ]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "new" / "report.html"
    write_report(path, image_report(_run(metrics=METRICS)))
    return path.read_text(encoding="utf-8")


def test_the_page_is_well_formed_and_needs_no_network(page):
    found = _check(page)
    for tag, attributes in found:
        for name in ("src", "srcset", "href"):
            assert attributes.get(name, "#").startswith(("data:", "#"))
        assert tag not in ("script", "link", "iframe")
        if tag == "img":
            assert attributes["alt"]
            Image.open(io.BytesIO(base64.b64decode(attributes["src"].partition(",")[2]))).verify()
    assert "url(" not in page
    assert "@import" not in page


def test_the_page_says_every_number_and_the_config(page):
    text = re.sub(r"<[^>]+>", " ", page)
    for expected in ("0.0489", "25.09", "0.871", "4.610", "1.880", "2.88", "2.875", "cat &amp; dog", "false", "seed 0"):
        assert expected in text
    assert "smoke &lt;run&gt;" in text
    assert "<run>" not in page


def test_footnotes_are_numbered_once_and_every_reference_has_its_note():
    rows = [Row("a", [1.0], meaning="first"), Row("b", [2.0], meaning="second"), Row("c", [3.0], meaning="first")]
    page = render(Report("t", "s", [Number("n", 1, meaning="second")], [Section("x", [Table(["v"], rows)])]))
    found = _check(page)
    notes = [a["id"] for t, a in found if t == "li"]
    references = [a["href"][1:] for t, a in found if t == "a" and a["href"].startswith("#note-")]
    assert notes == ["note-1", "note-2"]
    assert references == ["note-1", "note-2", "note-1", "note-2"]


def test_links_lead_to_sections(page):
    found = _check(page)
    ids = {a["id"] for _, a in found if "id" in a}
    assert {a["href"][1:] for t, a in found if t == "a"} <= ids


def test_stages_that_did_not_run_leave_no_trace():
    page = render(image_report(_run(likelihood={}, prior=None, samples={}, settings={})))
    _check(page)
    for title in ("Samples", "Prior", "Likelihood", "Training", "Configuration"):
        assert f"<h2>{title}" not in page
    assert "<h2>Reconstructions" in page


def test_several_codebooks_stand_beside_their_sum():
    page = render(image_report(_run(counts=np.arange(32).reshape(2, 16), code_shape=(2, 2, 2))))
    _check(page)
    assert "codebook 2" in page
    assert "2 × 2 × 2 codes of 16" in page


def test_samples_without_labels_stand_in_rows_of_eight():
    found = _check(render(image_report(_run(samples={"": _images(16)}))))
    (image,) = [a for t, a in found if t == "img" and a["alt"] == "16 samples"]
    assert _pixels(base64.b64decode(image["src"].partition(",")[2])).shape[:2] == (18, 78)


def test_large_pictures_are_left_to_the_browser_to_reduce():
    found = _check(render(image_report(_run(samples={"a": _images(8, side=128)}))))
    (image,) = [a for t, a in found if t == "img" and "of the class a" in a["alt"]]
    assert "class" not in image


def test_what_scrolls_stands_in_a_box_that_does_and_keeps_its_size():
    plot, sheet = Picture(b"", "plot", dark=b"", scrolls=True), Picture(b"", "sheet", pixels=1200, scrolls=True)
    page = render(Report("t", "s", [], [Section("x", [plot, sheet, Picture(b"", "other")])]))
    _check(page)
    assert re.search(r'<figure><div class="scroll plot"><picture>.*?<img alt="plot"', page)
    assert '<figure><div class="scroll"><img style="width:1200px" alt="sheet"' in page
    assert '<figure><img alt="other"' in page
    rules = dict(re.findall(r"^([^@{}\n]+)\{([^{}]*)\}$", page, re.MULTILINE))
    assert "overflow-x:auto" in rules[".scroll"]
    assert "max-width:none" in rules[".scroll img"]  # else the page's own rule would make it smaller
    assert float(re.search(r"min-width:(\d+)rem", rules[".plot img"])[1]) >= 34
    assert rules["h1,.subtitle,.gallery .name"] == "overflow-wrap:anywhere"  # names are as long as users make them


def test_one_image_is_one_image_and_has_no_standard_error():
    alone = LikelihoodScores(1, 192, 4.61, 2.73, 1.88, 613.5, None)
    run = _run(
        reconstruction=ReconstructionScores(1, 0.0031, 0.0489, 25.09, 0.871),
        originals=_images(1),
        reconstructions=_images(1, seed=1),
        samples={"ship": _images(1)},
        likelihood={"uniform": alone},
    )
    page = render(image_report(run))
    text = re.sub(r"<[^>]+>", " ", page)
    assert "are scored on 1 image of the split “test”" in text
    assert re.search(r"standard error\s+\d+\s+–\s+bits/dim", text)
    alternatives = [a["alt"] for t, a in _check(page) if t == "img"]
    assert alternatives[:2] == ["1 sample of the class ship", "1 image, each beside its reconstruction"]


def test_flags_are_folded_away(page):
    assert "<h2>Configuration</h2>" in page
    assert [a for t, a in _check(page) if t == "details"] == [{}]  # open would be an attribute


def test_settings_escape_what_users_typed():
    page = render(Report("t", "s", [], [Section("x", [Settings("Data", {"dataset": "folder:/<a>"})])]))
    assert "folder:/&lt;a&gt;" in page


def test_compression_ratio_is_the_papers():
    assert compression_ratio((128, 128, 3), (32, 32), 512) == pytest.approx(42.67, abs=0.01)


def test_bounds_are_named_in_words():
    assert heading("uniform") == "uniform prior"
    assert heading("learned_iw8") == "learned prior, 8 codings"
    assert heading("uniform_drawn_iw2") == "uniform prior, drawn codes, 2 codings"
    assert heading("shuffled codes") == "shuffled codes"
