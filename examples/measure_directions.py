"""Measures how far each direction of faces moves each measure of `alae align`.

    python examples/measure_directions.py --directions=models/faces64/directions.json --images=faces

The codes of aligned photographs are moved along a direction, by a quarter of the data's span to
both sides. The face mesh then measures the resulting pictures. The table has a row for each
direction: mean differences between the two sides, in standard deviations of the photographs.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

import alae_tf
from alae_tf.data import evenly
from alae_tf.images import files
from alae_tf.images.faces import FaceFinder
from alae_tf.images.picture import to_image
from alae_tf.latents import directions

MEASURES = ("yaw", "pitch", "roll", "mouth", "smile")
SIDE = 256  # pixels; small pictures are enlarged to it for the mesh


def measures(finder: FaceFinder, images: np.ndarray) -> np.ndarray:
    """The measures of each image: uint8 [N, H, W, 3] → [N, 5]; NaN where no face is found."""
    rows = []
    for image in images:
        faces = finder(np.asarray(to_image(image).resize((SIDE, SIDE), Image.Resampling.BICUBIC)))
        rows.append([faces[0].measures[name] if faces else np.nan for name in MEASURES])
    return np.array(rows)


def main() -> None:
    """Prints a Markdown table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--run_dir", default="faces64", help="run or shipped model. Default: faces64"
    )
    parser.add_argument("--directions", required=True, type=Path, help="file of directions")
    parser.add_argument("--images", required=True, help="a folder of aligned photographs")
    parser.add_argument("--count", type=int, default=150, help="photographs to use. Default: 150")
    args = parser.parse_args()

    model, finder = alae_tf.from_pretrained(args.run_dir), FaceFinder()
    found = files.find([args.images])
    places = evenly(found, min(args.count, len(found)))
    photos = alae_tf.read_images([found[i] for i in places], model)
    codes, spread = model.encode(photos, layers=True), np.nanstd(measures(finder, photos), axis=0)
    print(f"| moved along | {' | '.join(MEASURES)} | faces found |")
    print("|---" * (len(MEASURES) + 2) + "|")
    for each in directions.read(args.directions, model.config.latent_size, model.fingerprint):
        if each.span is None:
            continue
        quarter = (each.span[1] - each.span[0]) / 4
        low, high = (measures(finder, model.edit(codes, each, side * quarter)) for side in (-1, 1))
        moved = np.nanmean(high - low, axis=0) / spread
        seen = np.isfinite([low[:, 0], high[:, 0]]).mean()
        print(f"| {each.name} | {' | '.join(f'{x:.2f}' for x in moved)} | {seen:.0%} |", flush=True)


if __name__ == "__main__":
    main()
