"""Every quantizer at equal bits on CIFAR-10: the same encoder, decoder and steps, scored on the whole test split.

    python benchmarks/quantizers.py --data_dir=FOLDER [--steps=1500] [--seeds=1] [--runs=runs/quantizers] [FLAG ...]

Each codes an image as 8x8 sites of 9 bits. Further flags go to every run (`--precision=mixed_bfloat16`). A run that is
there already is not trained again. The default quantizer is trained with every seed, the others with the first.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from runs import scores

NINE_BITS = {
    "vector": ("--quantizer=vector",),
    "vector, codebook loss": ("--quantizer=vector", "--ema_decay=0"),
    "product, 3 of 8": ("--quantizer=product", "--num_codebooks=3", "--num_embeddings=8", "--embedding_dim=63"),
    "residual, 3 of 8": ("--quantizer=residual", "--num_codebooks=3", "--num_embeddings=8"),
    "finite scalar 8x8x8": ("--quantizer=finite_scalar", "--levels=8,8,8"),
    "lookup-free": ("--quantizer=lookup_free",),
    "SimVQ": ("--quantizer=simvq",),
    "entropy-constrained": ("--quantizer=entropy_constrained",),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", required=True)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--runs", type=Path, default=Path("runs/quantizers"))
    known, others = parser.parse_known_args()
    print(f"{'quantizer':24s}{'seed':>5s}{'normalised MSE':>16s}{'PSNR':>8s}{'perplexity':>12s}{'dead':>6s}")
    for name, flags in NINE_BITS.items():
        for seed in range(known.seeds if name == "vector" else 1):
            folder = known.runs / f"{name.replace(' ', '_').replace(',', '')}-{known.steps}-{seed}"
            common = (f"--data_dir={known.data_dir}", f"--steps={known.steps}", f"--seed={seed}", "--prior_steps=1000")
            found = scores(folder, "vqvae,evaluate", (*flags, *common, *others))
            columns = f"{found['normalised_mse']:16.4f}{found['psnr']:8.2f}{found['perplexity']:12.1f}"
            print(f"{name:24s}{seed:5d}{columns}{found['dead_codes']:6d}", flush=True)


if __name__ == "__main__":
    main()
