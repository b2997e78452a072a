"""A flower pinned to a portrait without a seam: `python examples/image_cloning.py [height]`.

Poisson image editing (Perez, Gangnet, Blake 2003): inside a mask, the solution of laplace(u) = laplace(source) keeps
the source's detail; on the mask's rim it meets the destination's colours. The three colours are a batch, the pixels
around the mask are fixed cells. Needs scikit-learn for the flower. Prints how much the colours jump over the rim,
writes image_cloning.png.
"""

import sys

import numpy as np
from matplotlib import cbook
from matplotlib.figure import Figure
from PIL import Image
from sklearn.datasets import load_sample_image

from fastsciml import solve_poisson

height = int(sys.argv[1]) if len(sys.argv) > 1 else 600
PORTRAIT_HEIGHT, FLOWER_CENTRE, FLOWER_SHRUNK = 600, (309, 220), 0.36
TITLES = ["Source, and the mask", "Destination", "Pasted", "Cloned by a Poisson solve"]
PLACE = (398, 422)  # where the flower's centre goes, in pixels of the portrait, from the left and from the top


def resized(image: Image.Image, factor: float) -> np.ndarray:
    """Colours from 0 to 1, [3, height, width]."""
    size = [round(factor * length) for length in image.size]
    return np.moveaxis(np.asarray(image.resize(size, Image.Resampling.LANCZOS)) / 255.0, 2, 0)


def jump(image: np.ndarray, mask: np.ndarray) -> float:
    """Mean difference of the colours on the two sides of the mask's rim."""
    steps = []
    for axis in (0, 1):
        over_rim = np.diff(mask.astype(int), axis=axis) != 0
        steps.append(np.abs(np.diff(image, axis=axis + 1))[:, over_rim].ravel())
    return float(np.concatenate(steps).mean())


scale = height / PORTRAIT_HEIGHT
with cbook.get_sample_data("grace_hopper.jpg") as file:
    destination = resized(Image.open(file).convert("RGB"), scale)
flower = resized(Image.fromarray(load_sample_image("flower.jpg")), FLOWER_SHRUNK * scale)

# The flower's photograph laid over the portrait; where it has no pixels, its edge goes on.
rows, columns = np.indices(destination.shape[1:])
across = columns - round(PLACE[0] * scale)
down = rows - round(PLACE[1] * scale)
column, row = (round(FLOWER_SHRUNK * scale * c) for c in FLOWER_CENTRE)
source = flower[:, (down + row).clip(0, flower.shape[1] - 1), (across + column).clip(0, flower.shape[2] - 1)]

# A careless outline around the petals, some of the flower's dark background inside it.
angle = np.arctan2(down, across)
radius = 58 * scale * (1 + 0.05 * np.cos(3 * angle + 1) + 0.03 * np.sin(5 * angle))
mask = np.hypot(across, down) < radius

laplacian = sum(np.roll(source, step, axis) - source for axis in (1, 2) for step in (-1, 1))
result = solve_poisson(-laplacian, dims=2, fixed=~mask, fixed_value=destination)
print(result)

pasted = np.where(mask, source, destination)
cloned = result.solution
for name, image in {"pasted": pasted, "cloned": cloned, "portrait as it was": destination}.items():
    print(f"colour jumps over the rim by {100 * jump(image, mask):.2f} % on average, {name}")
outside = ((cloned < 0) | (cloned > 1)).any(0)[mask].mean()
print(f"{100 * outside:.1f} % of the mask's pixels leave the range of colours and are clipped")

figure = Figure(figsize=(12, 3.5), layout="constrained")
panels = figure.subplots(1, 4, width_ratios=[1, 512 / 600, 1, 1])
for axes, title, image in zip(panels, TITLES, [flower, destination, pasted, cloned], strict=True):
    axes.imshow(np.moveaxis(image.clip(0, 1), 0, 2))
    axes.set(title=title, xticks=[], yticks=[])
panels[0].contour(across + column, down + row, mask, [0.5], colors="white", linestyles="dashed", linewidths=1.5)
half = flower.shape[1] // 2
panels[0].set(xlim=(column - half, column + half), ylim=(2 * half - 1, 0))  # a square of the photograph
for axes in panels[2:]:
    axes.set(xlim=(165 * scale, 511 * scale), ylim=(600 * scale, 254 * scale))
figure.savefig("image_cloning.png", dpi=76)
