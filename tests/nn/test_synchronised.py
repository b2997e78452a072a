"""Two gloo processes with half a batch each against one process with the whole."""

import torch
from torch import distributed as dist
from torch import multiprocessing

from fastsciml.nn import EvoNormB0, EvoNormB1, EvoNormB2

PROCESSES = 2
LAYERS = [EvoNormB0, EvoNormB1, EvoNormB2]
SPLIT = 3  # of 8 samples to the first process: parts need not be equal


def inputs():
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(8, 4, 5, 3, generator=generator) * torch.linspace(0.2, 3, 8)[:, None, None, None]
    return x, torch.randn(x.shape, generator=generator)


def step(layer, x, dy):
    x = x.clone().requires_grad_()
    y = layer(x)
    (dx,) = torch.autograd.grad(y, x, dy, create_graph=True)
    (dx * dy.cos()).sum().backward()
    second = (x.grad.clone(), layer.weight.grad.clone())
    x.grad = layer.weight.grad = None
    layer(x).backward(dy)
    return y.detach(), x.grad, second[0], layer.weight.grad, second[1], layer.running_var


def process(rank, rendezvous, folder):
    dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=PROCESSES)
    part = slice(0, SPLIT) if rank == 0 else slice(SPLIT, None)
    x, dy = inputs()
    results = [step(layer(4, process_group=dist.group.WORLD), x[part], dy[part]) for layer in LAYERS]
    torch.save(results, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_statistics_and_gradients_of_both_orders_are_those_of_the_whole_batch(tmp_path):
    multiprocessing.spawn(process, (tmp_path / "rendezvous", tmp_path), PROCESSES)
    parts = [torch.load(tmp_path / f"{rank}.pt") for rank in range(PROCESSES)]
    for layer, *of_ranks in zip(LAYERS, *parts, strict=True):
        y, dx, second_dx, dweight, second_dweight, running_var = step(layer(4), *inputs())
        for whole, of_each in zip((y, dx, second_dx), zip(*(part[:3] for part in of_ranks), strict=True), strict=True):
            torch.testing.assert_close(torch.cat(of_each), whole, rtol=1e-4, atol=1e-5)
        for whole, of_each in zip(
            (dweight, second_dweight), zip(*(part[3:5] for part in of_ranks), strict=True), strict=True
        ):
            torch.testing.assert_close(sum(of_each), whole, rtol=1e-4, atol=1e-5)
        for part in of_ranks:
            torch.testing.assert_close(part[5], running_var)
