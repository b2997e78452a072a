"""The published settings of MgNO, by problem.

He, Liu, Xu, "MgNO: Efficient Parameterization of Linear Operators via Multigrid", ICLR 2024, and the commands published
with its code. The grids there: 211^2 (smooth), 256^2 (rough, multiscale), 64^2 (Navier-Stokes), 101^2 (Helmholtz).
"""

from __future__ import annotations

from typing import Any

PRESETS: dict[str, dict[str, Any]] = {
    "darcy-smooth": {"layers": 5, "prolongation": [3, 4, 3, 3, 4]},
    "darcy-rough": {"layers": 4},
    "darcy-multiscale": {"layers": 4},
    "navier-stokes": {
        "width": 32,
        "layers": 5,
        "levels": 5,
        "pre": [1, 1, 1, 2, 2],
        "boundary": "periodic",
        "bias": True,
        "norm": "layer",
        "pointwise": False,
        "add_input": True,
    },
    "helmholtz": {
        "width": 20,
        "layers": 4,
        "levels": 5,
        "boundary": "neumann",
        "growing": True,
        "bias": True,
        "prolongation": [3, 4, 4, 3],
        "norm": ["layer", None, None, None],
        "pointwise": False,
        "end": "cycle",
    },
}
