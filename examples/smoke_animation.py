"""Smoke rises past a cylinder, step by step: `python examples/smoke_animation.py [width in cells]`.

Incompressible flow without viscosity in 2D: velocity and smoke are carried along the flow (semi-Lagrangian paths,
MacCormack's correction), warm smoke is lifted, and a pressure solve takes the divergence out of each step's velocity.
One `PoissonSolver` serves all steps, each from the pressure before. Writes smoke_animation.gif and, a few frames side
by side, smoke_animation.png.
"""

import sys
from time import perf_counter

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from PIL import Image
from scipy.ndimage import map_coordinates, maximum_filter, minimum_filter

from fastsciml import PoissonSolver
from fastsciml.data import divergence, project
from fastsciml.data.staggered import face_is_open, on_faces, places

width = int(sys.argv[1]) if len(sys.argv) > 1 else 192
shape = (width, 3 * width // 2)
h = 1 / width  # a channel of 1 m x 1.5 m
FRAMES, FRAME = 80, 0.06  # s
STILLS = (15, 31, 47, 63, 79)
INFLOW, LIFT = 0.5, 1.2  # m/s through the nozzle, m/s^2 of pure smoke
steps_per_frame = max(1, width // 32)  # a step of about three cells at 1.5 m/s
step = FRAME / steps_per_frame

x, z = places(shape, (h, h))
cylinder = np.hypot(x - 0.49, z - 0.55) < 0.12
nozzle = np.abs(x[:, 0] - 0.5) < 0.07
boundary = [("neumann", "neumann"), ("neumann", "dirichlet")]  # walls, a floor with the nozzle, an open top
solver = PoissonSolver(shape, spacing=h, boundary=boundary, solid=cylinder)
is_open = [face_is_open(axis, boundary, cylinder) for axis in range(2)]


def sample(field, points, *across, order=1):
    """A field at points in metres; of faces, if it is one across an axis, else of cells."""
    indices = [p / h - (0 if axis in across else 0.5) for axis, p in enumerate(points)]
    return map_coordinates(field, indices, order=order, mode="nearest")


def carried(field, velocity, *across):
    """The field after a step along the flow."""

    def back(points, time):
        half = [p - time / 2 * sample(v, points, a) for a, (p, v) in enumerate(zip(points, velocity, strict=True))]
        return [p - time * sample(v, half, a) for a, (p, v) in enumerate(zip(points, velocity, strict=True))]

    points = np.broadcast_arrays(*places(shape, (h, h), *across))
    origin = back(points, step)
    there = sample(field, origin, *across)
    error = sample(there, back(points, -step), *across) - field
    # The correction must not make a value that was not there before.
    least, most = (sample(of(field, 3), origin, *across, order=0) for of in (minimum_filter, maximum_filter))
    return np.clip(there - error / 2, least, most)


smoke, pressure = np.zeros(shape), np.zeros(shape)
velocity = [np.zeros(free.shape) for free in is_open]
frames, iterations, in_projection, left = [], [], 0.0, 0.0
start = perf_counter()
for number in range(FRAMES * steps_per_frame):
    smoke[nozzle, :3] = 1
    velocity = [carried(v, velocity, axis) for axis, v in enumerate(velocity)]
    velocity[1] += step * LIFT * on_faces(smoke, 1)
    velocity = [v * free for v, free in zip(velocity, is_open, strict=True)]
    velocity[1][nozzle, 0] = INFLOW

    before = perf_counter()
    result = solver.solve(-divergence(velocity, (h, h)), initial_guess=pressure, tol=1e-6)
    pressure = result.solution
    velocity = list(project(velocity, pressure, (h, h), boundary, cylinder))
    in_projection += perf_counter() - before
    iterations.append(result.iterations)
    left = max(left, np.abs(divergence(velocity, (h, h))).max())

    smoke = np.where(cylinder, 0, carried(smoke, velocity))
    if (number + 1) % steps_per_frame == 0:
        frames.append(smoke.copy())
seconds = perf_counter() - start

print(f"{len(iterations)} steps of {1000 * step:.1f} ms on {shape[0]} x {shape[1]} cells in {seconds:.1f} s")
print(f"{np.mean(iterations):.1f} iterations a solve, {in_projection / seconds:.0%} of the time in the projections")
print(f"largest divergence left: {left:.2g} 1/s; the nozzle alone brings {INFLOW / h:.0f} 1/s into its cells")

# A palette of 47 shades and the cylinder's grey keeps the animation small.
shades = (colormaps["inferno"](np.linspace(0, 1, 47))[:, :3] * 255).astype(np.uint8)
images, size = [], (256, 384)
grey = Image.fromarray(255 * cylinder.T[::-1].astype(np.uint8)).resize(size)
for frame in frames:
    image = Image.fromarray(np.round(46 * frame).astype(np.uint8).T[::-1]).resize(size, Image.Resampling.BILINEAR)
    image.paste(47, mask=grey.point(lambda value: 255 * (value > 127)))
    image.putpalette([*shades.ravel().tolist(), 150, 150, 150])
    images.append(image)
images[0].save("smoke_animation.gif", save_all=True, append_images=images[1:], duration=1000 * FRAME, loop=0)

figure = Figure(figsize=(12, 3.9), layout="constrained")
panels = figure.subplots(1, len(STILLS), sharey=True)
for axes, number in zip(panels, STILLS, strict=True):
    shown = np.ma.masked_where(cylinder, frames[number]).T
    drawn = axes.imshow(shown, cmap="inferno", vmin=0, vmax=1, extent=(0, 1, 0, 1.5), origin="lower")
    axes.set(title=f"{FRAME * (number + 1):.1f} s", xlabel="x [m]", facecolor="0.6", xticks=[0, 0.5, 1])
panels[0].set_ylabel("z [m]")
figure.colorbar(drawn, ax=panels, label="smoke", pad=0.01, shrink=0.9)
figure.savefig("smoke_animation.png", dpi=100)
