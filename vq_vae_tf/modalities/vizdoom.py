"""First-person walks through the maps and scenarios that come with ViZDoom: frames and actions, headless."""

from __future__ import annotations

import os
import struct
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from vq_vae_tf.errors import UserError
from vq_vae_tf.modalities.vizdoom_policy import ACTIONS, POLICIES, Policy

MAPS = tuple(f"map{number:02d}" for number in range(1, 33))
"""Of Freedoom 2."""
SCENARIOS = (
    "basic",
    "deadly_corridor",
    "deathmatch",
    "defend_the_center",
    "defend_the_line",
    "health_gathering",
    "health_gathering_supreme",
    "my_way_home",
    "predict_position",
    "rocket_basic",
    "simpler_basic",
    "take_cover",
)
"""Those of ViZDoom that one player alone can walk through, each with a map of its own."""
_BUTTONS = ("MOVE_FORWARD", "TURN_LEFT", "TURN_RIGHT")
_STUCK = 4.0  # map units; a walker who moved less has met a wall (a player is 32 wide)
_STUCK_TICS = 4  # one who starts needs so many tics for more than that; the way grows with the square of the time
_ATTEMPTS = 100  # at a walk that ends too early

Begin = Callable[[np.random.Generator, bool], None]
"""Puts the walker where a walk begins; the flag says that the last one ended too early."""


@dataclass(frozen=True)
class Episode:
    """A walk: `frames` uint8 `[time, 120, 160, 3]`; `actions` int32 `[time]`, actions[t] leads to frame t + 1."""

    map_name: str
    frames: np.ndarray
    actions: np.ndarray


def render_episodes(
    maps: Sequence[str], episodes_per_map: int, length: int, frame_skip: int, seed: int, policy: str = "walk"
) -> Iterator[Episode]:
    """Walks of `length` frames, `frame_skip` tics (1/35 s) apart, from random places of each map of Freedoom 2 in turn.

    The walker starts at the place of a random thing of the map and acts by a policy of `POLICIES`; it is invulnerable
    and unseen, so that monsters are there but the walk goes on. Depends on the arguments only.

    Raises: UserError when ViZDoom is not installed, or walks end too early.
    """
    with _game(seed) as game:
        for map_name in maps:
            begin = partial(_begin_at_a_thing, game, map_name, _things(_wad(), map_name))
            _load(game, map_name)
            for number in range(episodes_per_map):
                random = np.random.default_rng([seed, int(map_name.removeprefix("map")), number])
                yield _walk(game, map_name, begin, length, frame_skip, POLICIES[policy], random)


def render_scenario(
    scenario: str, episodes: int, length: int, frame_skip: int, seed: int, policy: str = "walk"
) -> Iterator[Episode]:
    """As `render_episodes`, through the map of one of `SCENARIOS`, each walk from where the scenario starts it."""
    with _game(seed, scenario) as game:
        for number in range(episodes):
            random = np.random.default_rng([seed, number])
            yield _walk(game, scenario, partial(_begin_anew, game), length, frame_skip, POLICIES[policy], random)


def _begin_at_a_thing(game: Any, map_name: str, places: np.ndarray, random: np.random.Generator, again: bool) -> None:
    if again:
        _load(game, map_name)  # walked through the exit: start again elsewhere
    x, y = places[random.integers(len(places))]
    game.send_game_command(f"warp {x} {y}")
    game.make_action([0, 1, 0], int(random.integers(1, 60)))  # look anywhere


def _begin_anew(game: Any, random: np.random.Generator, again: bool) -> None:
    _new_episode(game)


def _walk(
    game: Any,
    map_name: str,
    begin: Begin,
    length: int,
    frame_skip: int,
    policy: Policy,
    random: np.random.Generator,
) -> Episode:
    for attempt in range(_ATTEMPTS):
        begin(random, attempt > 0)
        frames: list[np.ndarray] = []
        actions: list[int] = []
        action, turning, last = 0, 0, None
        while len(frames) < length and not game.is_episode_finished():
            state = game.get_state()
            here = state.game_variables
            stuck = last is not None and np.hypot(*(here - last)) < _stuck_below(frame_skip)
            action, turning = policy(action, turning, stuck, random)
            frames.append(state.screen_buffer.copy())
            actions.append(action)
            last = here
            game.make_action(list(list(ACTIONS.values())[action]), frame_skip)
        if len(frames) == length:
            return Episode(map_name, np.stack(frames), np.array(actions, np.int32))
    raise UserError(
        f"walks through {map_name} end before {length} frames, {frame_skip} tics apart ({_ATTEMPTS} were tried): "
        "expected walks that go on, so give a shorter episode_length or frame_skip."
    )


def _stuck_below(frame_skip: int) -> float:
    return _STUCK * min(1.0, (frame_skip / _STUCK_TICS) ** 2)


@contextmanager
def _game(seed: int, scenario: str = "") -> Iterator[Any]:
    vizdoom = import_vizdoom()
    game = vizdoom.DoomGame()
    if scenario:
        game.load_config(str(_wad().with_name("scenarios") / f"{scenario}.cfg"))
        game.set_episode_timeout(0)
        game.add_game_args("+sv_cheats 1")  # the highest skill, which some ask for, forbids them
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
    _new_episode(game)


def _new_episode(game: Any) -> None:
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
