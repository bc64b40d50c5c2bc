from __future__ import annotations

import sys

import pytest

from vq_vae_tf import config as config_lib
from vq_vae_tf.commands import command_line, convert, encode, evaluate, export, sample, train
from vq_vae_tf.errors import Interrupted, UserError

COMMANDS = [train, encode, evaluate, sample, export, convert]


def config(*argv: str) -> config_lib.Config:
    return command_line.config_from(command_line.parse(argv, config_lib.options()))


def test_later_flags_win(tmp_path):
    (tmp_path / "mine.flags").write_text("--steps=5\n--units=16\n", encoding="utf-8")
    found = config(f"--flagfile={tmp_path / 'mine.flags'}", "--steps=9")
    assert (found.training.steps, found.model.units) == (9, 16)


def test_recipes_are_found_by_bare_name_and_shadowed_by_the_working_directory(tmp_path, monkeypatch):
    assert config("--flagfile=smoke.flags").model.units == 16
    monkeypatch.chdir(tmp_path)
    (tmp_path / "smoke.flags").write_text("--units=99\n", encoding="utf-8")
    assert config("--flagfile=smoke.flags").model.units == 99


def test_workdir_is_named_after_the_recipe():
    assert command_line.default_workdir(["--flagfile=a/cifar.flags", "--steps=3"]) == "runs/cifar"
    assert command_line.default_workdir(["--steps=3"]) == "runs/default"


@pytest.mark.parametrize("flag", ["--flagfile", "-flagfile"])
def test_a_flag_file_may_be_the_next_word(flag, tmp_path, monkeypatch):
    path = tmp_path / "mine.flags"
    path.write_text("--units=99\n--steps=5\n", encoding="utf-8")
    found = config(flag, str(path), "--steps=9")
    assert (found.model.units, found.training.steps) == (99, 9)
    assert config("--steps=9", flag, str(path)).training.steps == 5
    assert config(flag, "smoke.flags").model.units == 16
    monkeypatch.chdir(tmp_path)
    assert config(flag, "mine.flags", flag, "smoke.flags").model.units == 16
    assert command_line.default_workdir([flag, "a/cifar.flags", "--steps=3"]) == "runs/cifar"
    assert command_line.default_workdir([flag, "a.flags", "--flagfile=b.flags", flag, str(path)]) == "runs/mine"


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--stpes=3"], "stpes.*Did you mean: steps"),
        (["--steps=many"], "steps=many"),
        (["--schedule=wavy"], "wavy"),
        (["steps=3"], "`steps=3` is not a flag"),
        (["--flagfile", "nowhere.flags"], "--flagfile=nowhere.flags is neither a file nor a recipe"),
        (["--flagfile"], "--flagfile= is neither a file nor a recipe"),
        (["--flagfile=nowhere.flags"], "neither a file nor a recipe; the recipes are bair.flags, cifar.flags"),
    ],
)
def test_wrong_words_are_one_sentence(argv, message):
    with pytest.raises(UserError, match=message) as caught:
        config(*argv)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: c.__name__.rsplit(".", 1)[1])
def test_help_names_every_flag(command, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["x", "--help"])
    assert command.main() == 0
    shown = capsys.readouterr().out
    for item in getattr(command, "FLAGS", tuple(config_lib.options())):
        assert f"--{item.name}=" in shown
    assert max(map(len, shown.splitlines())) <= 120


@pytest.mark.parametrize("command", [encode, evaluate, sample, export], ids=lambda c: c.__name__.rsplit(".", 1)[1])
def test_a_folder_without_a_run_is_refused(command, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(sys, "argv", ["x", f"--workdir={tmp_path}"])
    assert command.main() == 2
    shown = capsys.readouterr().err
    assert "holds no run" in shown
    assert shown.count("\n") == 1


def test_a_stop_has_its_own_status(monkeypatch, capsys):
    import signal

    def stopped(argv):
        raise Interrupted(3, 10, signal.SIGTERM)

    monkeypatch.setattr(sys, "argv", ["x"])
    assert command_line.main("x", stopped, "") == 143
    assert "step 3 of 10" in capsys.readouterr().err
