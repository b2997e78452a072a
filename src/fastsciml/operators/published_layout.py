"""State dictionaries of `MgNO` in the names and layout of the code published with the paper, and back.

He, Liu, Xu, "MgNO: Efficient Parameterization of Linear Operators via Multigrid", ICLR 2024; its models for Darcy flow
("MgNO_DC", "MgNO_DC_smooth"), the Navier-Stokes equations ("MgNO_NS") and the Helmholtz equation ("MgNO_helm").
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from fastsciml.operators.mgno import MgNO

# What a published model keeps of the normaliser of its output, which is no part of `MgNO`.
NORMALISER = re.compile(r"normalizer\.")
# A of a first iteration, which starts from u = 0: Helmholtz's published cycles have it and do not read it.
UNREAD = re.compile(r"(conv_list\.\d+|last_layer)\.layer0\.0\.A\.(weight|bias)")


def to_published(state_dict: Mapping[str, Tensor], settings: Mapping[str, Any]) -> dict[str, Tensor]:
    """The parameters of an `MgNO` as the published model of the same layers has them.

    Args:
        state_dict: of the model, stencils [channels out, channels in, 3, 3]; any dtype, which stays.
        settings: its `settings()`.

    Returns:
        The published model's state dictionary; the tensors are shared. The A of first iterations, which Helmholtz's
        published model has and does not read, is zeros.

    Raises:
        ValueError: no published model has such layers, or a parameter is missing, unexpected or of another shape.

    Source of the layout: the code published with He, Liu, Xu, "MgNO" (ICLR 2024).
    """
    names = _published_names(settings)
    _check(state_dict, names, settings)
    published = {names[name]: value for name, value in state_dict.items()}
    if settings["end"] == "cycle":
        for prefix in [f"conv_list.{i}" for i in range(settings["layers"])] + ["last_layer"]:
            S = published[f"{prefix}.layer0.0.S.weight"]
            published[f"{prefix}.layer0.0.A.weight"] = torch.zeros_like(S.transpose(0, 1).contiguous())
            published[f"{prefix}.layer0.0.A.bias"] = S.new_zeros(S.shape[1])
    return published


def from_published(state_dict: Mapping[str, Tensor], settings: Mapping[str, Any]) -> dict[str, Tensor]:
    """The parameters of a published model as an `MgNO` of those settings loads them.

    What the published model keeps of a normaliser is left out: its `decode` is to be applied to the output.

    Args:
        state_dict: of the published model, stencils [channels out, channels in, 3, 3]; any dtype, which stays.
        settings: of the `MgNO`, such as `MgNO.preset("darcy-rough").settings()`. For the published Navier-Stokes model
            the preset needs transfers="zeros" and the grid, for Helmholtz's transfers="inner" and the grid.

    Returns:
        The state dictionary; the tensors are shared.

    Raises:
        ValueError: no published model has such layers, or a parameter is missing, unexpected or of another shape.

    Source of the layout: the code published with He, Liu, Xu, "MgNO" (ICLR 2024).

    Example:
        >>> model = MgNO.preset("darcy-rough")
        >>> published = to_published(model.state_dict(), model.settings())
        >>> model.load_state_dict(from_published(published, model.settings()))
        <All keys matched successfully>
    """
    names = _published_names(settings)
    left_out = [NORMALISER, UNREAD] if settings["end"] == "cycle" else [NORMALISER]
    kept = {name: value for name, value in state_dict.items() if not any(part.match(name) for part in left_out)}
    ours = {published: name for name, published in names.items()}
    _check({ours.get(name, name): value for name, value in kept.items()}, names, settings, shown=names)
    return {ours[name]: value for name, value in kept.items()}


def _published_names(settings: Mapping[str, Any]) -> dict[str, str]:
    """From each of our parameters' names to the published one."""
    _check_settings(settings)
    return {name: _published_name(name, settings) for name in _shapes(settings)}


def _published_name(name: str, settings: Mapping[str, Any]) -> str:
    plain, growing = not settings["pointwise"], settings["end"] == "cycle"
    if match := re.fullmatch(r"pointwise\.(\d+\.\w+)", name):
        return f"linear_list.{match[1]}"
    if name == "end.weight":
        return "last_layer.weight" if plain else "linear.weight"
    match = re.fullmatch(r"(cycles\.(\d+)|end)\.levels\.(\d+)\.(.+)", name)
    assert match is not None
    cycle, level, rest = match[2], int(match[3]), match[4]
    prefix = "last_layer" if cycle is None else f"conv_list.{cycle}"
    if step := re.fullmatch(r"pre\.(\d+)\.(.+)", rest):
        # From the second level on, a level's modules begin with the transfer to it.
        return f"{prefix}.layer{level}.{int(step[1]) + (level > 0)}.{step[2]}"
    if step := re.fullmatch(r"post\.(.+)", rest):
        return f"{prefix}.post_smooth_layer{level}.{step[1]}"
    kind, parameter = rest.split(".")
    if kind == "norm":
        return f"norm_layer_list.{cycle}.{parameter}" if growing else f"{prefix}.norm_layer_list.{level}.{parameter}"
    return f"{prefix}.RTlayers.{level}.{parameter}" if kind == "P" else f"{prefix}.layer{level + 1}.0.{rest}"


PARTS = ("pointwise", "end", "bias", "add_input", "growing")
DARCY = (True, "pointwise", False, False, False)
NAVIER_STOKES = (False, "pointwise", True, True, False)
HELMHOLTZ = (False, "cycle", True, False, True)


def _check_settings(settings: Mapping[str, Any]) -> None:
    parts, coarser = tuple(settings[name] for name in PARTS), settings["levels"] - 2
    norms = {DARCY: None, NAVIER_STOKES: "layer", HELMHOLTZ: ["layer"] + [None] * coarser}
    if parts not in norms or settings["norm"] != norms[parts]:
        raise ValueError(f"settings must be those of a published model in {', '.join(PARTS)} and norm")
    if settings["dims"] != 2:
        raise ValueError(f"settings must have dims 2, as the published models, got {settings['dims']}")
    boundary = {NAVIER_STOKES: "periodic", HELMHOLTZ: "neumann"}.get(parts, settings["boundary"])
    if settings["boundary"] != boundary:
        raise ValueError(f'settings must have boundary "{boundary}", as published, got "{settings["boundary"]}"')
    if settings["norm"] is not None and settings["grid"] is None:
        raise ValueError("settings must have the grid: the published norms have a weight for each of its points")
    # Zeros are also what a Dirichlet boundary says.
    transfers = {"boundary": "zeros"} if boundary == "dirichlet" else {}
    wanted = "inner" if parts == HELMHOLTZ else "zeros"
    if transfers.get(settings["transfers"], settings["transfers"]) != wanted:
        raise ValueError(f'settings must have transfers "{wanted}", as published, got "{settings["transfers"]}"')


def _shapes(settings: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    model = MgNO(**settings, device="meta")
    return {name: tuple(value.shape) for name, value in model.state_dict().items()}


def _check(
    state: Mapping[str, Tensor],
    names: Mapping[str, str],
    settings: Mapping[str, Any],
    shown: Mapping[str, str] | None = None,
) -> None:
    shown = shown or {}
    shapes = _shapes(settings)
    missing, unexpected = [name for name in shapes if name not in state], [name for name in state if name not in names]
    for fault, found in (("miss", missing), ("have the unexpected", unexpected)):
        if found:
            listed = ", ".join(shown.get(name, name) for name in found[:3])
            more = f" and {len(found) - 3} more" if len(found) > 3 else ""
            raise ValueError(f"state_dict must not {fault} {listed}{more}")
    for name, shape in shapes.items():
        if tuple(state[name].shape) != shape:
            got = tuple(state[name].shape)
            raise ValueError(f"state_dict must have {shown.get(name, name)} of shape {shape}, got {got}")
