"""Files below a folder."""

from __future__ import annotations

import os

import pytest

from vq_vae_tf.disk import check_output
from vq_vae_tf.errors import UserError
from vq_vae_tf.files import check_room, visible_entries, visible_files, write_text


def test_files_are_found_through_links_and_a_link_to_a_folder_above_ends(tmp_path):
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    for name in ("root/a/one.png", "root/a/.hidden/two.png", "root/.three.png", "elsewhere/deep/four.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (root / "a" / "linked").symlink_to(elsewhere)
    (root / "five.png").symlink_to(elsewhere / "deep" / "four.png")
    (root / "a" / "round").symlink_to(root)
    (root / "broken.png").symlink_to(tmp_path / "nowhere")
    found = sorted(path.relative_to(root).as_posix() for path in visible_files(root))
    assert found == ["a/linked/deep/four.png", "a/one.png", "five.png"]


def test_a_folder_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        visible_files(tmp_path / "none")


def test_a_file_of_the_longest_name_is_written_whole(tmp_path):
    name = "n" * 251 + ".txt"
    write_text(tmp_path / name, "all")
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "all"


def test_a_folder_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    def refuse(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(tmp_path), "iterdir", refuse)
    with pytest.raises(UserError, match=r"cannot be read \(Permission denied\); give read permission"):
        visible_files(tmp_path)


def test_an_output_that_cannot_be_written_is_told_and_nothing_is_made(tmp_path):
    (tmp_path / "file").write_text("")
    check_output(tmp_path / "new" / "folder" / "a.png")
    check_output(tmp_path / "file")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    with pytest.raises(UserError, match="is a folder; give the name of a file in it"):
        check_output(tmp_path)
    with pytest.raises(UserError, match="cannot be written"):
        check_output(tmp_path / "file" / "a.png")


def test_what_does_not_fit_is_told_before_it_is_written(tmp_path):
    check_room(tmp_path, 1 << 20)
    with pytest.raises(OSError, match=r"space|large"):
        check_room(tmp_path, 1 << 60)
    assert not list(tmp_path.iterdir())


def test_a_name_that_is_no_text_is_told(tmp_path):
    (tmp_path / "café.png").touch()
    assert [path.name for path in visible_files(tmp_path)] == ["café.png"]
    latin = os.path.join(os.fsencode(tmp_path), b"caf\xe9.png")
    try:
        open(latin, "wb").close()
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    with pytest.raises(UserError, match=r"caf\\xe9\.png': the name is not UTF-8; rename"):
        visible_files(tmp_path)
    with pytest.raises(UserError, match="the name is not UTF-8; rename"):
        visible_entries(tmp_path)
