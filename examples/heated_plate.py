"""Steady temperature of a plate with holes: `python examples/heated_plate.py [size]`.

-div(grad u) = f in 2D: a few spots are heated, the lower edge is kept at u = 0, the other edges and
the rims of the holes let no heat through. Writes heated_plate.png.
"""

import sys

import numpy as np

from fastsciml import solve_poisson
from fastsciml.picture import draw_solution

size = int(sys.argv[1]) if len(sys.argv) > 1 else 1024
tolerance = 1e-8
random = np.random.default_rng(7)
x, y = np.meshgrid(*[(np.arange(size) + 0.5) / size] * 2, indexing="ij", sparse=True)

holes = np.zeros((size, size), dtype=bool)
for column, row in np.ndindex(4, 4):
    centre = (np.array([column, row]) + 0.5 + random.uniform(-0.15, 0.15, 2)) / 4
    holes |= np.hypot(x - centre[0], y - centre[1]) < random.uniform(0.04, 0.09)

heat = np.zeros((size, size))
for place in random.uniform(0.1, 0.9, (6, 2)):
    heat += 200 * np.exp(-((x - place[0]) ** 2 + (y - place[1]) ** 2) / 0.03**2)
heat[holes] = 0

result = solve_poisson(
    heat,
    spacing=1 / size,
    boundary=["neumann", ("dirichlet", "neumann")],
    solid=holes,
    tol=tolerance,
)
print(result)

figure = draw_solution(result.solution, heat, (1 / size, 1 / size), result.residuals, tolerance, holes)
figure.savefig("heated_plate.png", dpi=130)
