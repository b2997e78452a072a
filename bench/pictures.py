"""The pictures of a file of results, by name; one whose core has not run is left out."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure

from . import picture_peers, picture_roofline, picture_scaling

PICTURES = {"scaling": picture_scaling.draw, "roofline": picture_roofline.draw, "peers": picture_peers.draw}


def draw(cores: dict[str, Any]) -> dict[str, Figure]:
    """cores: as in the file of results."""
    made = {name: draw_one(cores) for name, draw_one in PICTURES.items()}
    return {name: figure for name, figure in made.items() if figure is not None}
