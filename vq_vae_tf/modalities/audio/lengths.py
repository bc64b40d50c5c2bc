"""What waveforms an encoder takes."""

from __future__ import annotations


def check_waveforms(name: str, input_shape: tuple[int | None, ...], hop: int) -> None:
    """Raises ValueError unless the shape is `[batch, time]` with time a multiple of `hop`, or unknown."""
    time = input_shape[-1] if len(input_shape) == 2 else 0
    if time is not None and (time < hop or time % hop):
        raise ValueError(
            f"{name}: expected waveforms [batch, time] with time a multiple of {hop}; received shape "
            f"{tuple(input_shape)}."
        )
