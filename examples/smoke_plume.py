"""One pressure projection of a smoke plume past a ball: `python examples/smoke_plume.py [size]`.

Writes smoke_plume.png: the smoke, the pressure, the residuals, the divergence before and after.
"""

import sys

import numpy as np

from fastsciml import solve_poisson
from fastsciml.data import divergence, smoke_plume
from fastsciml.picture import draw_plume

size = int(sys.argv[1]) if len(sys.argv) > 1 else 128
tolerance = 1e-8

plume = smoke_plume((size, size, size))
result = solve_poisson(plume.rhs, spacing=plume.spacing, boundary=plume.boundary, solid=plume.solid, tol=tolerance)
print(result)

after = divergence(plume.projected(result.solution), plume.spacing)
print(f"largest divergence: {np.abs(plume.rhs).max():.3g} 1/s, then {np.abs(after).max():.3g} 1/s")
draw_plume(plume, result.solution, result.residuals, tolerance).savefig("smoke_plume.png", dpi=130)
