import pytest
import torch

from fastsciml.ops.huge_pages import empty_in_huge_pages


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(0,), (1,), (3, 5, 7), (5, 1024, 1025)], ids=str)
def test_memory_is_whole_and_writable(shape, dtype):
    tensor = empty_in_huge_pages(*shape, dtype=dtype)
    assert tensor.shape == shape
    assert tensor.dtype == dtype
    tensor.fill_(2)
    assert tensor.sum(dtype=torch.float64) == 2 * tensor.numel()
