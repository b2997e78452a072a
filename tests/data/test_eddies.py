import numpy as np
import pytest

from fastsciml.data import divergence
from fastsciml.data.eddies import random_eddies


@pytest.mark.parametrize(("shape", "spacing"), [((9, 12), (0.1, 0.2)), ((7, 8, 10), (0.1, 0.2, 0.05))])
def test_eddies_have_no_divergence_and_cross_no_wall(shape, spacing):
    eddies = random_eddies(shape, spacing, np.random.default_rng(5))
    fastest = max(abs(component).max() for component in eddies)
    assert 0.01 < fastest < 10
    assert abs(divergence(eddies, spacing)).max() < 1e-13 * fastest / min(spacing)
    for axis, component in enumerate(eddies):
        for wall in (0, -1):
            assert abs(component.take(wall, axis)).max() < 1e-13 * fastest
