import pytest
import torch

from fastsciml.ops.pages import advise_spare, empty_in_huge_pages


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(0,), (1,), (3, 5, 7), (5, 1024, 1025)], ids=str)
def test_memory_is_whole_and_writable(shape, dtype):
    tensor = empty_in_huge_pages(*shape, dtype=dtype)
    assert tensor.shape == shape
    assert tensor.dtype == dtype
    tensor.fill_(2)
    assert tensor.sum(dtype=torch.float64) == 2 * tensor.numel()


@pytest.mark.parametrize("numel", [0, 1, 1 << 10, 5_000_001])
def test_spare_memory_is_whole_and_writable_and_its_neighbours_stay(numel):
    memory = empty_in_huge_pages(numel + 200).fill_(3)
    spare = memory[100:-100]
    advise_spare(spare)
    assert (memory[:100] == 3).all()
    assert (memory[-100:] == 3).all()
    spare.fill_(2)
    assert spare.sum(dtype=torch.float64) == 2 * numel
