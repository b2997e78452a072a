import math

import pytest
import torch

from fastsciml.incontext.tasks import LinearTasks, SineTasks, TeacherTasks

DISTRIBUTIONS = [LinearTasks(y_dim=2), LinearTasks(x="normal", noise=0.5), SineTasks(), TeacherTasks(4, 3)]


@pytest.mark.parametrize("distribution", DISTRIBUTIONS, ids=repr)
def test_generator_decides_the_tasks(distribution):
    one, other, third = (
        distribution.sample(5, 7, 3, generator=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert one.x.shape == (5, 7, distribution.x_dim)
    assert one.y_query.shape == (5, 3, distribution.y_dim)
    assert one.all_x.shape[1] == one.all_y.shape[1] == 10
    torch.testing.assert_close(one.all_y, other.all_y, rtol=0, atol=0)
    assert not torch.equal(one.all_y, third.all_y)
    assert distribution.sample(2, 3, dtype=torch.float64).y.dtype == torch.float64


def test_linear_tasks_have_one_weight_matrix_each():
    tasks = LinearTasks(4, 2).sample(6, 4, 5, dtype=torch.float64)
    W = torch.linalg.solve(tasks.x, tasks.y)
    torch.testing.assert_close(tasks.x_query @ W, tasks.y_query)
    assert tasks.x.abs().max() <= 1


def test_sparse_weights_noise_and_their_size():
    sparse = LinearTasks(8, 1, nonzero=3).sample(50, 8, dtype=torch.float64)
    W = torch.linalg.solve(sparse.x, sparse.y)
    assert ((W.abs() > 1e-9).sum(1) == 3).all()
    noisy = LinearTasks(8, 1, x="normal", noise=2.0, weight_std=0.5).sample(4000, 8)
    assert float(noisy.y.var()) == pytest.approx(2.0**2 + 8 * 0.5**2, rel=0.1)


def test_sine_waves_have_their_amplitude_and_phase():
    tasks = SineTasks().sample(200, 400, dtype=torch.float64)
    waves = torch.cat([tasks.x.sin(), tasks.x.cos()], 2)
    coefficients = torch.linalg.lstsq(waves, tasks.y).solution
    torch.testing.assert_close(waves @ coefficients, tasks.y)
    amplitude = coefficients.norm(dim=1)
    assert 0.1 <= amplitude.min() <= amplitude.max() <= 5
    assert (coefficients[:, 1] >= 0).all()  # a sin p with p in (0, pi)
    assert math.isclose(float(amplitude.mean()), 2.55, rel_tol=0.15)


def test_teachers_have_variance_one_and_are_not_linear():
    tasks = TeacherTasks(4, 1).sample(4000, 30)
    assert float(tasks.y.square().mean()) == pytest.approx(1.0, rel=0.1)
    left = tasks.y - tasks.x @ torch.linalg.lstsq(tasks.x, tasks.y).solution
    assert float(left.square().mean()) > 0.1


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: LinearTasks(0), "x_dim must be positive"),
        (lambda: LinearTasks(x="other"), "x must be 'uniform' or 'normal'"),
        (lambda: LinearTasks(noise=-1.0), "noise must not be negative"),
        (lambda: LinearTasks(weight_std=0.0), "weight_std must be positive"),
        (lambda: LinearTasks(4, nonzero=5), "nonzero must be from 1 to x_dim, 4"),
        (lambda: SineTasks(2), "must be 1 for sine waves"),
        (lambda: TeacherTasks(hidden=0), "hidden must be positive"),
        (lambda: LinearTasks().sample(0, 3), "batch must be positive"),
        (lambda: LinearTasks().sample(3, 3, 0), "queries must be positive"),
    ],
)
def test_bad_settings_are_refused(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()
