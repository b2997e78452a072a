"""Dielectric and metal balls between charged plates: `python examples/electrostatics.py [size]`.

-div(eps grad phi) = 0 on size^3 cells, eps relative to vacuum. First a dielectric ball in a field that is uniform far
away: inside it is 3 / (eps + 2) times as strong, and the errors of that are printed. Then a ball of glass and one of
metal, held at a voltage by fixed cells, between the plates of a capacitor. Writes electrostatics.png.
"""

import sys

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from fastsciml import Dirichlet, solve_poisson

size = int(sys.argv[1]) if len(sys.argv) > 1 else 128
h = 1 / size  # of a box of 1 m, the centre of which is the origin
ticks = (np.arange(size) + 0.5) * h - 0.5
cells = np.meshgrid(ticks, ticks, ticks, indexing="ij", sparse=True)
RADIUS, GLASS = 0.2, 6.0
GLASS_AT, METAL_AT = (-0.22, 0.0, 0.06), (0.22, 0.0, -0.06)
METAL_VOLTS = 0.8


def distance(points, centre=(0.0, 0.0, 0.0)):
    return np.sqrt(sum((x - c) ** 2 for x, c in zip(points, centre, strict=True)))


def known_potential(points, eps):
    """Of a ball in a field of 1 V/m along -z: the uniform field's and a dipole's, which is uniform inside."""
    r = np.maximum(distance(points), RADIUS)
    return points[2] * (1 - (eps - 1) / (eps + 2) * (RADIUS / r) ** 3)


def ends(eps, axis):
    """The known potential on the two faces across an axis: the box ends there, the field does not."""
    across = [x for a, x in enumerate(cells) if a != axis]
    for end in (-0.5, 0.5):
        points = [*across[:axis], np.full((1, 1, 1), end), *across[axis:]]
        yield Dirichlet(known_potential(points, eps).squeeze(axis))


def field_in_ball(eps):
    faces = [tuple(ends(eps, axis)) for axis in range(3)]
    medium = np.where(distance(cells) < RADIUS, eps, 1.0)
    phi = solve_poisson(np.zeros((size,) * 3), spacing=h, boundary=faces, coefficient=medium).solution
    inner = distance(cells) < 0.8 * RADIUS
    return np.gradient(phi, h, axis=2)[inner].mean()


permittivities, found = [2, 4, 8, 20, 80], []
for eps in permittivities:
    field = field_in_ball(eps)
    found.append(field)
    formula = 3 / (eps + 2)
    print(f"eps {eps}: {field:.5f} V/m in the ball, by formula {formula:.5f}, error {abs(field / formula - 1):.2%}")

# Between plates at 0 V and 1 V, no field through the sides; the metal's cells hold its voltage.
glass, metal = (distance(cells, place) < RADIUS for place in (GLASS_AT, METAL_AT))
result = solve_poisson(
    np.zeros((size,) * 3),
    spacing=h,
    boundary=["neumann", "neumann", (Dirichlet(0.0), Dirichlet(1.0))],
    coefficient=np.where(glass, GLASS, 1.0),
    fixed=metal,
    fixed_value=METAL_VOLTS,
)
print(result)

phi = result.solution[:, size // 2]
strength = [-part for part in np.gradient(phi, h)]
figure = Figure(figsize=(15, 4.4), layout="constrained")
figure.get_layout_engine().set(w_pad=0.12)
left, middle, right = figure.subplots(1, 3)
frame = {"extent": (-0.5, 0.5, -0.5, 0.5), "origin": "lower"}
figure.colorbar(left.imshow(phi.T, cmap="viridis", vmin=0, vmax=1, **frame), label="potential [V]")
left.contour(ticks, ticks, phi.T, np.arange(0.05, 1, 0.05), colors="white", linewidths=0.7)
left.set_title("Potential, a line every 0.05 V")

speed = np.hypot(*strength)
image = middle.imshow(speed.T, cmap="magma", vmin=0, vmax=np.percentile(speed, 99.5), **frame)
figure.colorbar(image, label="field strength [V/m]", extend="max")
outside = [np.ma.masked_where(metal[:, size // 2], part).T for part in strength]
middle.streamplot(ticks, ticks, *outside, color="white", linewidth=0.7, arrowsize=0.8, density=1.4)
middle.set(title="Field lines", xlim=(-0.5, 0.5), ylim=(-0.5, 0.5))
for axes in (left, middle):
    for (x, _, z), label, face in ((GLASS_AT, f"glass, eps {GLASS:g}", "none"), (METAL_AT, "metal", "0.75")):
        axes.add_patch(Circle((x, z), RADIUS, facecolor=face, edgecolor="white", linewidth=2, zorder=3))
        if axes is left:
            axes.text(x, z, label, color="black" if face == "0.75" else "white", ha="center", zorder=4)
    axes.set(xlabel="x [m]", ylabel="z [m]")

curve = np.geomspace(1, 100, 200)
right.loglog(curve, 3 / (curve + 2), color="0.5", label="formula, 3 / (eps + 2)")
right.loglog(permittivities, found, "o", color="tab:red", label=f"solved on {size}$^3$ cells")
right.set(title="Field in a dielectric ball", xlabel="relative permittivity eps", ylabel="field inside / far away")
right.set_box_aspect(1)
right.legend()
right.grid(alpha=0.3, which="both")
figure.savefig("electrostatics.png", dpi=100)
