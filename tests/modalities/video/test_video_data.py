"""Clips of rendered walks and of folders of frames."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from vq_vae_tf.errors import UserError
from vq_vae_tf.modalities.video.data import open_video_data
from vq_vae_tf.modalities.video.files import read_film
from vq_vae_tf.modalities.video.source import cut_episodes, in_memory


def episode(folder, count, first=0, actions=None, name="{:06d}".format):
    """`count` frames of 8x8 whose grey value says which they are; the file of the i-th one is `name(i)`.png."""
    folder.mkdir(parents=True)
    for i in range(count):
        image = np.full((8, 8, 3), first + i, np.uint8)
        (folder / f"{name(i + 1)}.png").write_bytes(tf.io.encode_png(image).numpy())
    if actions is not None:
        (folder / "actions.txt").write_text("\n".join(actions) + "\n")


@pytest.fixture
def episodes(tmp_path):
    root = tmp_path / "episodes"
    for number, first in enumerate((0, 50, 100)):
        episode(root / f"e{number}", 5, first, ["up", "down", "up", "left"])
    return root


def values(data, split):
    """Grey value of every frame and name of every action, clip by clip."""
    (batch,) = data.clips(split, 99)
    x = batch["x"].numpy()
    assert (x == x[:, :, :1, :1, :1]).all()
    return x[:, :, 0, 0, 0].tolist(), [[data.action_names[a] for a in row] for row in batch["actions"].numpy()]


def test_a_folder_is_cut_into_clips_in_order_with_their_actions(episodes):
    data = open_video_data(f"folder:{episodes}", clip_length=2)
    assert data.action_names == ("down", "left", "up")
    assert data.sizes["train"] == 8
    assert data.sizes["test"] == 4
    seen = []
    for split in ("train", "test"):
        frames, actions = values(data, split)
        assert actions == [["up", "down"], ["up", "left"]] * (len(frames) // 2)
        seen += frames
    assert sorted(seen) == [[v, v + 1] for v in (0, 2, 50, 52, 100, 102)]
    flat = np.concatenate([b["x"].numpy() for b in data.examples("train", 3)])
    np.testing.assert_array_equal(flat[:, 0, 0, 0], np.ravel(values(data, "train")[0]))


def several_styles(i):
    """Two digits at first, then none before the number, then four."""
    return f"{i:02d}" if i < 5 else f"{i}" if i < 11 else f"{i:04d}"


@pytest.mark.parametrize(
    "name",
    [str, "{:03d}".format, "take 10 frame {}".format, several_styles],
    ids=["plain", "padded", "second number", "several styles"],
)
def test_frames_follow_the_numbers_in_their_names(tmp_path, name):
    taken = [f"a{i:02d}" for i in range(12)]
    for number, first in enumerate((0, 50)):
        episode(tmp_path / f"e{number}", 12, first, taken, name)
    data = open_video_data(f"folder:{tmp_path}", clip_length=12)
    for split in ("train", "test"):
        ((frames, *_), (actions, *_)) = values(data, split)
        assert np.subtract(frames, frames[0]).tolist() == list(range(12))
        assert actions == taken


def test_names_that_differ_in_zeros_or_have_no_number_have_an_order_too(tmp_path):
    written = ("2", "10", "still 1", "02", "1c", "3", "0002", "still", "1b", "002")
    ordered = ("1b", "1c", "0002", "002", "02", "2", "3", "10", "still", "still 1")
    for number in range(2):
        episode(tmp_path / f"e{number}", len(written), 0, ["up"] * len(written), lambda i: written[i - 1])
    for split in ("train", "test"):
        ((frames, *_), _) = values(open_video_data(f"folder:{tmp_path}", clip_length=len(written)), split)
        assert frames == [written.index(name) for name in ordered]


def test_a_hidden_file_is_no_frame(tmp_path):
    for number in range(2):
        episode(tmp_path / f"e{number}", 4, 7, ["up"] * 4)
        (tmp_path / f"e{number}" / "._1.png").write_bytes(b"what a file manager leaves")
    for split in ("train", "test"):
        ((frames, *_), _) = values(open_video_data(f"folder:{tmp_path}", clip_length=4), split)
        assert np.subtract(frames, frames[0]).tolist() == list(range(4))


def test_episodes_follow_the_numbers_in_their_names(tmp_path):
    for number in range(1, 13):
        episode(tmp_path / f"e{number}", 2, 10 * number, ["up"])
    data = open_video_data(f"folder:{tmp_path}", clip_length=2, validation_size=3)
    firsts = {split: [clip[0] for clip in values(data, split)[0]] for split in ("train", "validation", "test")}
    assert sorted(np.concatenate(list(firsts.values()))) == [10 * number for number in range(1, 13)]
    for split, numbers in firsts.items():
        assert numbers == sorted(numbers), split


def test_a_folder_without_actions(tmp_path):
    for number in range(3):
        episode(tmp_path / f"e{number}", 4)
    data = open_video_data(f"folder:{tmp_path}", clip_length=4, validation_size=1)
    assert data.action_names == ()
    assert [data.sizes[s] for s in ("train", "validation", "test")] == [4, 4, 4]


def film_file(path, frames):
    """An animated picture without loss, or a film."""
    if path.suffix in (".webp", ".gif"):
        pictures = [Image.fromarray(frame) for frame in frames]
        how = {"lossless": True} if path.suffix == ".webp" else {}
        pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=100, **how)
        return
    av = pytest.importorskip("av", reason="needs the extra `video`, which the lock has")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10, width=frames.shape[2], height=frames.shape[1])
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


@pytest.mark.parametrize("ending", [".webp", ".gif", ".mp4"])
def test_a_folder_of_films(tmp_path, ending):
    greys = np.array([[0, 40, 90, 200], [10, 60, 120, 240], [30, 70, 150, 180]], np.uint8)
    for number, row in enumerate(greys):
        film_file(tmp_path / f"e{number}{ending}", np.broadcast_to(row[:, None, None, None], (4, 32, 48, 3)).copy())
        (tmp_path / f"e{number}.txt").write_text("up\ndown\nup\n")
    data = open_video_data(f"folder:{tmp_path}", image_size=16, clip_length=2)
    assert data.image_shape == (16, 16, 3)
    clips = {split: next(iter(data.clips(split, 99))) for split in ("train", "test")}
    seen = np.concatenate([clip["x"].numpy().mean((2, 3, 4)) for clip in clips.values()])
    expected = greys.reshape(-1, 2)
    np.testing.assert_allclose(seen[np.argsort(seen[:, 0])], expected[np.argsort(expected[:, 0])], atol=4)
    assert [data.action_names[a] for a in clips["test"]["actions"].numpy().ravel()] == ["up", "down", "up", "up"]


@pytest.mark.parametrize("ending", [".webp", ".gif"])
def test_a_moment_that_stands_still_keeps_its_frames(tmp_path, ending):
    """Pillow writes equal frames that follow each other as one that is shown longer."""
    greys = np.array([0, 0, 0, 90, 200, 200, 40], np.uint8)
    film_file(tmp_path / f"still{ending}", np.broadcast_to(greys[:, None, None, None], (7, 8, 8, 3)).copy())
    with Image.open(tmp_path / f"still{ending}") as merged:
        assert merged.n_frames == 4
    np.testing.assert_allclose(read_film(tmp_path / f"still{ending}")[:, 0, 0, 0], greys, atol=2)


def test_frames_that_are_shown_a_little_longer_are_one_frame_each(tmp_path):
    pictures = [Image.fromarray(np.full((8, 8, 3), grey, np.uint8)) for grey in (0, 80, 160, 240)]
    pictures[0].save(tmp_path / "thirty.gif", save_all=True, append_images=pictures[1:], duration=[30, 30, 40, 30])
    assert len(read_film(tmp_path / "thirty.gif")) == 4


@pytest.mark.parametrize("ending", [".gif", ".webp", ".mp4"])
def test_a_damaged_film_is_one_sentence(tmp_path, ending):
    random = np.random.default_rng(0)
    path = tmp_path / f"film{ending}"
    film_file(path, random.integers(0, 256, (4, 32, 32, 3)).astype(np.uint8))
    whole, refused = path.read_bytes(), 0
    for trial in range(60):
        damaged = bytearray(whole)
        if trial % 2:
            damaged = damaged[: random.integers(0, len(whole))]
        else:
            for place in random.integers(0, min(len(whole), 400), 8):
                damaged[place] = random.integers(0, 256)
        path.write_bytes(damaged)
        try:
            read_film(path)
        except UserError as error:
            assert "is no readable video" in str(error)  # noqa: PT017
            refused += 1
        else:
            assert ending != ".gif" or not trial % 2, "cut short, and read"
    assert refused > 15


def test_films_without_pyav_say_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "a.mp4").write_bytes(b"a film")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(UserError, match=r"pip install vq_vae_tf\[video\]; GIF and WebP need none"):
        read_film(tmp_path / "a.mp4")


def test_of_two_episodes_one_is_trained_on(tmp_path):
    for name in ("e9", "e11"):  # the hashes of both say test
        episode(tmp_path / name, 2, 10, ["up"])
    assert open_video_data(f"folder:{tmp_path}", clip_length=2).sizes == {"train": 2, "validation": 0, "test": 2}


@pytest.mark.parametrize("ending", ["", ".webp"])
def test_each_clip_has_the_name_of_its_episode_and_its_number_where_there_are_several(tmp_path, ending):
    for number, count in enumerate((2, 4, 5)):
        if ending:
            greys = np.arange(50 * number, 50 * number + count, dtype=np.uint8)
            film_file(tmp_path / f"e{number}{ending}", np.broadcast_to(greys[:, None, None, None], (count, 8, 8, 3)))
        else:
            episode(tmp_path / f"e{number}", count, 50 * number)
    data = open_video_data(f"folder:{tmp_path}", clip_length=2, validation_size=1)
    firsts = {}
    for split in ("train", "validation", "test"):
        (batch,) = data.clips(split, 99)
        firsts |= dict(zip(data.clip_names[split], batch["x"].numpy()[:, 0, 0, 0, 0].tolist(), strict=True))
    expected = {"e0": 0, "e1#0": 50, "e1#1": 52, "e2#0": 100, "e2#1": 102}
    assert firsts == {name[:2] + ending + name[2:]: grey for name, grey in expected.items()}


def test_what_is_wrong_with_a_film_is_said(tmp_path):
    random = np.random.default_rng(0)
    for number in range(2):
        film_file(tmp_path / f"e{number}.webp", random.integers(0, 256, (3, 16 + number, 16, 3)).astype(np.uint8))

    def refused(match, **how):
        with pytest.raises(UserError, match=match):
            open_video_data(f"folder:{tmp_path}", **{"clip_length": 2, **how})

    refused("films of 16x16, 16x17; expected one size, so give --image_size")
    refused(r"e0\.webp: 3 frames, expected at least the 4 of --clip_length", clip_length=4)
    (tmp_path / "e0.txt").write_text("up\n")
    refused(r"e0\.txt: 1 actions in 1 lines for 3 frames")
    (tmp_path / "e0.txt").unlink()
    whole = (tmp_path / "e1.webp").read_bytes()
    (tmp_path / "e1.webp").write_bytes(whole[: len(whole) // 2])
    refused(r"e1\.webp is no readable video")
    (tmp_path / "frames").mkdir()
    refused("films beside folders of frames")


def test_what_is_wrong_with_a_folder_is_said(episodes, tmp_path):
    def refused(match, **how):
        with pytest.raises(UserError, match=match):
            open_video_data(f"folder:{episodes}", **{"clip_length": 4, **how})

    refused("5 frames, expected at least the 6 of --clip_length", clip_length=6)
    refused("validation_size=2: .* 2 training episodes", validation_size=2)
    (episodes / "e1" / "actions.txt").write_text("up\ndown\n")
    refused("e1/actions.txt: 2 actions in 2 lines for 5 frames")
    (episodes / "e1" / "actions.txt").unlink()
    refused("e1: no file of actions, but e0 has one")
    (episodes / "e1" / "actions.txt").write_text("up\n" * 5)
    (episodes / "e1" / "000002.png").write_bytes(b"\x89PNG but not really")
    refused("e1/000002.png is no readable picture")
    with pytest.raises(UserError, match="no such folder"):
        open_video_data(f"folder:{tmp_path / 'nowhere'}")


def test_in_memory_holds_out_the_end_and_cuts_what_is_asked():
    frames = np.arange(2 * 7, dtype=np.uint8).reshape(2, 7, 1, 1, 1).repeat(3, -1)
    clips, actions = cut_episodes("x", frames, frames[..., 0, 0, 0].astype(np.int32), 3)
    np.testing.assert_array_equal(clips[..., 0, 0, 0], [[0, 1, 2], [3, 4, 5], [7, 8, 9], [10, 11, 12]])
    np.testing.assert_array_equal(actions, clips[..., 0, 0, 0])
    with pytest.raises(UserError, match="have 7 frames"):
        cut_episodes("x", frames, actions, 8)
    data = in_memory("x", {"train": (clips, actions)}, ("a",), validation_size=1, max_examples=2)
    assert data.sizes == {"train": 6, "validation": 3}
    (held,) = data.clips("validation", 9)
    np.testing.assert_array_equal(held["actions"], [[10, 11, 12]])
    with pytest.raises(UserError, match="has 4 training clips"):
        in_memory("x", {"train": (clips, actions)}, ("a",), validation_size=4)


def test_walks_are_rendered_once_and_actions_say_how_they_turn(tmp_path):
    pytest.importorskip("vizdoom", reason="needs the extra `vizdoom`")
    import tensorflow_datasets as tfds

    tfds.disable_progress_bar()
    data = open_video_data("vizdoom/tiny", tmp_path, clip_length=4)
    assert data.sizes == {"train": 64, "test": 16, "unseen": 8}
    assert data.image_shape == (32, 32, 3)
    (batch,) = data.clips("train", 99)
    x, actions = batch["x"].numpy(), batch["actions"].numpy()
    assert x.shape == (16, 4, 32, 32, 3)
    assert actions.shape == (16, 4)
    assert len(np.unique(actions)) > 1
    steps = np.abs(np.diff(x.astype(float), axis=1)).mean()
    assert 1.0 < steps < np.abs(x[:8].astype(float) - x[8:]).mean(), "frames of a clip do not follow one another"
    again = open_video_data("vizdoom/tiny", tmp_path, image_size=16, clip_length=4, max_examples=2)
    (small,) = again.clips("train", 99)
    blocks = x[:2].reshape(2, 4, 16, 2, 16, 2, 3).mean((3, 5))
    np.testing.assert_array_equal(small["x"], np.round(blocks).astype(np.uint8))
    with pytest.raises(UserError, match="no such configuration"):
        open_video_data("vizdoom/huge", tmp_path)
