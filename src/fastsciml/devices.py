"""Devices that a command is told to work on."""

import torch


def existing_device(device: str) -> str:
    """The same name; raises ValueError with a sentence where there is no such device."""
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        sentence = str(error).splitlines()[0]
        raise ValueError(f"--device {device} cannot be used: {sentence}") from None
    return device
