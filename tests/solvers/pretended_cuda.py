"""A CUDA device that is not there: its tensors are the CPU's, but known by their device, and nothing mixes the two."""

import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)
REGISTERED = Path(__file__).parents[2] / "csrc/operators_cuda.cpp"
OPERATORS = {f"fastsciml::{name}" for name in re.findall(r'library\.impl\("(\w+)"', REGISTERED.read_text())}
READS = {"__bool__", "__float__", "__int__", "__index__", "item", "tolist", "cpu"}


class PretendedCuda(TorchFunctionMode):
    """Under it, tensors may be moved to "cuda:0" and made there. Then an operation fails as it would on a device: where
    its tensors are on different ones, where it has no CUDA kernel, where NumPy would look at a device's memory.

    What the autograd engine makes, which no mode sees, is known to be nowhere and goes with either.

    Attributes:
        reads: how often the host waited for the device to look at a value of its.
        moves: how many tensors were moved there.
    """

    def __init__(self) -> None:
        super().__init__()
        self.reads = self.moves = 0
        # The storages are kept, so that their addresses name them.
        self._places: dict[int, tuple[torch.UntypedStorage, torch.device]] = {}

    def place(self, tensor: Tensor) -> torch.device | None:
        found = self._places.get(tensor.untyped_storage()._cdata)
        return found and found[1]

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if getattr(func, "__self__", None) is Tensor.device:
            return self.place(args[0]) or CPU
        name = getattr(func, "_qualified_op_name", getattr(func, "__name__", ""))
        here = {place for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor) and (place := self.place(t))}
        on_cuda = any(place.type == "cuda" for place in here)
        self.reads += on_cuda and name in READS
        if on_cuda and (name in ("numpy", "__array__") or (name.startswith("fastsciml") and name not in OPERATORS)):
            raise TypeError(f"{name} of a CUDA tensor")
        if func is Tensor.cpu:
            return self._moved(args[0], CPU)
        if func is Tensor.to:
            return self._moved(*args, **kwargs)
        if len(here) > 1 and func not in (Tensor.copy_, torch.autograd.grad):
            raise RuntimeError(f"{name} of tensors on {' and '.join(sorted(map(str, here)))}")
        asked = kwargs.pop("device", None)
        out = func(*args, **kwargs)
        place = torch.device(asked) if asked is not None else here.pop() if len(here) == 1 else None
        anything = any(isinstance(t, Tensor) for t in tree_leaves((args, kwargs)))
        self.mark(out, place if anything or place else CPU)
        return out

    def mark(self, out: Any, place: torch.device | None) -> None:
        for tensor in tree_leaves(out):
            if isinstance(tensor, Tensor) and place is not None:
                storage = tensor.untyped_storage()
                self._places.setdefault(storage._cdata, (storage, place))

    def _moved(self, tensor: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if args and isinstance(args[0], Tensor):
            device, dtype = self.place(args[0]), args[0].dtype
        else:
            device, dtype, *_ = torch._C._nn._parse_to(*args, **kwargs)
        place = self.place(tensor)
        out = tensor if dtype is None else tensor.to(dtype)
        if device in (None, place or CPU):
            self.mark(out, place)
            return out
        self.moves += device.type == "cuda"
        out = out.clone()
        self.mark(out, device)
        return out
