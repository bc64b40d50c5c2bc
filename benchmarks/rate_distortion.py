"""What a picture costs under its learned prior, and what it looks like: two stages, joint training, two levels.

    python benchmarks/rate_distortion.py --data_dir=FOLDER [--steps=1500] [--prior_steps=400] [FLAG ...]

Every row is a run of its own on CIFAR-10 with the same encoder, decoder, steps, seed and sizes of the prior, scored on
the whole test split. The rate is that of a prior trained afterwards on the codes of the finished model, for joint
training too: what its own network learned on moving codes is not counted. "Two stages at this rate" interpolates the
rows of codebooks of 256, 512 and 2,435 codes at the bits of the row: what lies above it is won, below it lost.
Further flags go to every run (`--precision=mixed_bfloat16`). A run that is there already is not trained again.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from runs import scores

TWO_STAGES = {f"two stages, K = {size:,}": (f"--num_embeddings={size}",) for size in (256, 512, 2435)}
OTHERS = {
    "joint, K = 512, 0.3 a bit": ("--quantizer=joint", "--bit_cost=0.3", "--prior_labels=false"),
    "two levels, K = 512 (80 codes)": ("--quantizer=two_level", "--levels_apart=1"),
}
CODES = {"two levels, K = 512 (80 codes)": 80}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", required=True)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--prior_steps", type=int, default=400)
    parser.add_argument("--runs", type=Path, default=Path("runs/rate_distortion"))
    known, others = parser.parse_known_args()
    print("| | bits uniform | bits learned | PSNR | two stages at this rate |\n|---|---|---|---|---|")
    curve = []
    for name, flags in (TWO_STAGES | OTHERS).items():
        folder = known.runs / f"{name.replace(' ', '_').replace(',', '')}-{known.steps}-{known.prior_steps}"
        common = (f"--data_dir={known.data_dir}", f"--steps={known.steps}", f"--prior_steps={known.prior_steps}")
        found = scores(folder, "vqvae,codes,prior,evaluate", (*common, *flags, "--samples_per_class=1", *others))
        codes = CODES.get(name, 64)
        bits, psnr = codes * found["prior_bits_per_code"], found["psnr"]
        if name in TWO_STAGES:
            curve.append((bits, psnr))
        at = f"{np.interp(bits, *zip(*sorted(curve), strict=True)):.2f} dB" if name in OTHERS else ""
        uniform = 8 * 32 * 32 * 3 / found["compression_ratio"]
        print(f"| {name} | {uniform:.0f} | {bits:.1f} | {psnr:.2f} dB | {at} |", flush=True)


if __name__ == "__main__":
    main()
