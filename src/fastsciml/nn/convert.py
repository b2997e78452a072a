"""An existing model with EvoNorm layers in the place of its BatchNorms and the activations after them."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import fx, nn

from fastsciml.nn.evonorm import EvoNormB0, EvoNormB1, EvoNormB2, EvoNormS0, EvoNormS1, EvoNormS2

LAYERS: dict[str, Any] = {
    "evonorm_b0": EvoNormB0,
    "evonorm_b1": EvoNormB1,
    "evonorm_b2": EvoNormB2,
    "evonorm_s0": EvoNormS0,
    "evonorm_s1": EvoNormS1,
    "evonorm_s2": EvoNormS2,
}
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
ACTIVATIONS = (nn.ReLU, nn.SiLU)
ACTIVATION_CALLS = (torch.relu, torch.relu_, nn.functional.relu, nn.functional.silu, "relu", "relu_")


def convert_norm_activation(model: nn.Module, layer: str, **options: Any) -> fx.GraphModule:
    """A copy of the model in which `layer` stands for every BatchNorm with a ReLU or SiLU right after it.

    Found by tracing (torch.fx), so that modules used in several places and functional activations count as well. A
    BatchNorm whose result goes anywhere else stays. Weight and bias are taken over, the running variance by the layers
    that have one. Submodules keep their names.

    Args:
        model: what torch.fx can trace; its copy takes the tensors that it takes, of any floating dtype.
        layer: evonorm_b0, evonorm_b1, evonorm_b2, evonorm_s0, evonorm_s1 or evonorm_s2.
        options: of the layer, as groups=8; eps and, where both have it, momentum come from the BatchNorm otherwise.

    Raises:
        ValueError: there is no such layer, or channels cannot be divided into the groups.

    Source of the layers: Liu, Brock, Simonyan, Le, "Evolving Normalization-Activation Layers" (NeurIPS 2020).
    """
    if layer not in LAYERS:
        raise ValueError(f"layer must be one of {', '.join(LAYERS)}, got {layer!r}")
    traced = fx.symbolic_trace(copy.deepcopy(model))
    modules = dict(traced.named_modules())
    for name, norm in modules.items():
        calls = [node for node in traced.graph.nodes if node.op == "call_module" and node.target == name]
        if not isinstance(norm, NORMS) or not calls:
            continue
        if not all(_goes_into_an_activation(call, modules) for call in calls):
            continue
        traced.set_submodule(name, _converted(norm, LAYERS[layer], options))
        for call in calls:
            (activation,) = call.users
            activation.replace_all_uses_with(call)
            traced.graph.erase_node(activation)
    traced.delete_all_unused_submodules()
    traced.recompile()
    return traced


def _goes_into_an_activation(call: fx.Node, modules: dict[str, nn.Module]) -> bool:
    if len(call.users) != 1:
        return False
    (user,) = call.users
    if user.op == "call_module":
        return isinstance(modules[str(user.target)], ACTIVATIONS)
    return user.op in ("call_function", "call_method") and user.target in ACTIVATION_CALLS


def _converted(norm: nn.Module, layer: Any, options: dict[str, Any]) -> nn.Module:
    batch_statistics = layer in (EvoNormB0, EvoNormB1, EvoNormB2)
    taken: dict[str, Any] = {"eps": norm.eps} | ({"momentum": norm.momentum} if batch_statistics else {})
    place = norm.running_var if norm.weight is None else norm.weight
    if isinstance(place, torch.Tensor):
        taken |= {"device": place.device, "dtype": place.dtype}
    converted: nn.Module = layer(norm.num_features, **({"affine": norm.affine} | taken | options))
    state = {name: value for name, value in norm.state_dict().items() if name in converted.state_dict()}
    converted.load_state_dict(state, strict=False)
    return converted.train(norm.training)
