"""First-person walks through the free maps that come with ViZDoom: frames and the actions between them, headless."""

from __future__ import annotations

import os
import struct
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vq_vae_tf.errors import UserError

# Names of ACTIONS[i] and the buttons they press: forward, turn left, turn right.
ACTIONS = {
    "forward": (1, 0, 0),
    "forward_left": (1, 1, 0),
    "forward_right": (1, 0, 1),
    "left": (0, 1, 0),
    "right": (0, 0, 1),
}
_BUTTONS = ("MOVE_FORWARD", "TURN_LEFT", "TURN_RIGHT")
_WALK = np.array([0.5, 0.2, 0.2, 0.05, 0.05])  # probability of each action at a change of mind
_CHANGE_OF_MIND = 0.3  # probability of choosing anew at a step
_STUCK = 4.0  # map units; a walker who moved less has met a wall (a player is 32 wide)
_TURN_STEPS = 4  # steps spent turning away from a wall


@dataclass(frozen=True)
class Episode:
    """A walk: `frames` uint8 `[time, 120, 160, 3]`; `actions` int32 `[time]`, actions[t] leads to frame t + 1."""

    map_name: str
    frames: np.ndarray
    actions: np.ndarray


def render_episodes(
    maps: Sequence[str], episodes_per_map: int, length: int, frame_skip: int, seed: int
) -> Iterator[Episode]:
    """Walks of `length` frames, `frame_skip` tics (1/35 s) apart, from random places of each map in turn.

    The walker starts at the place of a random thing of the map, keeps an action for a while, and turns at walls; it
    is invulnerable and unseen, so that monsters are there but the walk goes on. Depends on the arguments only.

    Raises: UserError when ViZDoom is not installed.
    """
    with _game(seed) as game:
        for map_name in maps:
            places = _things(_wad(), map_name)
            _load(game, map_name)
            for number in range(episodes_per_map):
                random = np.random.default_rng([seed, int(map_name.removeprefix("map")), number])
                yield _walk(game, map_name, places, length, frame_skip, random)


def _walk(
    game: Any, map_name: str, places: np.ndarray, length: int, frame_skip: int, random: np.random.Generator
) -> Episode:
    while True:
        x, y = places[random.integers(len(places))]
        game.send_game_command(f"warp {x} {y}")
        game.make_action([0, 1, 0], int(random.integers(1, 60)))  # look anywhere
        frames: list[np.ndarray] = []
        actions: list[int] = []
        action, turning, last = 0, 0, None
        while len(frames) < length and not game.is_episode_finished():
            state = game.get_state()
            here = state.game_variables
            stuck = last is not None and np.hypot(*(here - last)) < _STUCK
            action, turning = _next_action(action, turning, stuck, random)
            frames.append(state.screen_buffer.copy())
            actions.append(action)
            last = here
            game.make_action(list(list(ACTIONS.values())[action]), frame_skip)
        if len(frames) == length:
            return Episode(map_name, np.stack(frames), np.array(actions, np.int32))
        _load(game, map_name)  # walked through the exit: start again elsewhere


def _next_action(action: int, turning: int, stuck: bool, random: np.random.Generator) -> tuple[int, int]:
    """The next action and the number of steps for which a turn away from a wall goes on."""
    if turning:
        return action, turning - 1
    if stuck and action < 3:
        return int(random.integers(3, 5)), _TURN_STEPS - 1
    if random.random() < _CHANGE_OF_MIND:
        return int(random.choice(len(_WALK), p=_WALK)), 0
    return action, 0


@contextmanager
def _game(seed: int) -> Iterator[Any]:
    vizdoom = import_vizdoom()
    game = vizdoom.DoomGame()
    game.set_doom_game_path(str(_wad()))
    game.set_window_visible(False)
    game.set_sound_enabled(False)
    game.set_screen_resolution(vizdoom.ScreenResolution.RES_160X120)
    game.set_screen_format(vizdoom.ScreenFormat.RGB24)
    for part in ("hud", "weapon", "crosshair", "messages", "screen_flashes"):
        getattr(game, f"set_render_{part}")(False)
    game.add_game_args("+cl_showsecretmessage 0")
    game.set_available_buttons([getattr(vizdoom.Button, name) for name in _BUTTONS])
    game.set_available_game_variables([vizdoom.GameVariable.POSITION_X, vizdoom.GameVariable.POSITION_Y])
    game.set_mode(vizdoom.Mode.PLAYER)
    game.set_seed(seed)
    with tempfile.TemporaryDirectory() as scratch:
        game.set_doom_config_path(os.path.join(scratch, "vizdoom.ini"))
        with chdir(scratch):  # the engine leaves a folder where it starts
            game.init()
        try:
            yield game
        finally:
            game.close()


def _load(game: Any, map_name: str) -> None:
    game.set_doom_map(map_name)
    game.new_episode()
    game.send_game_command("god")
    game.send_game_command("notarget")


def import_vizdoom() -> Any:
    """The vizdoom module. Raises: UserError naming the extra that brings it."""
    try:
        import vizdoom
    except ImportError:
        raise UserError(
            "--dataset=vizdoom renders its pictures with ViZDoom, which is missing: pip install vq_vae_tf[vizdoom]."
        ) from None
    return vizdoom


def _wad() -> Path:
    return Path(import_vizdoom().__file__).with_name("freedoom2.wad")


def _things(wad: Path, map_name: str) -> np.ndarray:
    """Places of a map's things, int16 `[number, 2]` (x, y): where monsters, lamps and weapons stand, one can stand.

    A WAD file is a directory of named lumps; a map's THINGS lump follows the lump with its name. Each thing is five
    int16: x, y, angle, type, flags.
    """
    content = wad.read_bytes()
    _, count, start = struct.unpack_from("<4sii", content)
    lumps = [struct.unpack_from("<ii8s", content, start + 16 * i) for i in range(count)]
    names = [name.rstrip(b"\0").decode("ascii") for _, _, name in lumps]
    position, size, _ = lumps[names.index("THINGS", names.index(map_name.upper()))]
    return np.frombuffer(content[position : position + size], "<i2").reshape(-1, 5)[:, :2]
