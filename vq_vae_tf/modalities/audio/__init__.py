"""Audio: waveforms float32 `[time]` in [-1, 1], by speaker."""
