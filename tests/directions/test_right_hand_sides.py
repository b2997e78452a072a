import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_directions import settings

from fastsciml.directions import training_data
from fastsciml.directions.lanczos import lanczos
from fastsciml.directions.right_hand_sides import coefficients, right_hand_sides

KILLED = Path(__file__).parent / "killed_generation.py"


@pytest.fixture
def basis(tmp_path):
    a = np.diag(np.linspace(0.5, 4, 50)).astype(np.float32)
    return lanczos(lambda x: a @ x, np.random.randn(50).astype(np.float32), 20, tmp_path / "basis.npy")


def test_they_are_normalised_combinations_of_ritz_vectors(tmp_path, basis):
    found = right_hand_sides(basis, 7, tmp_path / "b.npy", seed=3)
    _, coordinates = basis.ritz()
    ritz_vectors = basis.vectors.T.astype(np.float64) @ coordinates
    for index in range(7):
        drawn = np.random.default_rng([3, index]).standard_normal(20)
        drawn[:11] *= 9
        b = ritz_vectors @ drawn
        np.testing.assert_allclose(found[index], b / np.linalg.norm(b), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-6)


def test_low_share_is_the_published_one_for_the_published_size():
    plain = np.random.default_rng([0, 0]).standard_normal(10_000)
    np.testing.assert_array_equal(coefficients(0, 0, 10_000) / plain > 8, np.arange(10_000) < 5_500)


def test_each_index_has_its_own_random_numbers_whatever_the_count(tmp_path, basis):
    few = right_hand_sides(basis, 5, tmp_path / "few.npy", seed=1)
    many = right_hand_sides(basis, 300, tmp_path / "many.npy", seed=1)
    np.testing.assert_allclose(many[:5], few, atol=1e-6)
    other = right_hand_sides(basis, 300, tmp_path / "other.npy", seed=2)
    likeness = abs(np.concatenate([many, other]) @ many.T)
    likeness[np.arange(300), np.arange(300)] = 0
    assert likeness.max() < 0.999  # no two are the same


def test_other_ones_and_bad_numbers_are_refused(tmp_path, basis):
    right_hand_sides(basis, 5, tmp_path / "b.npy", seed=1)
    for options in ({"seed": 2}, {"seed": 1, "low_share": 0.3}, {"seed": 1, "about": "another"}):
        with pytest.raises(ValueError, match="holds other data"):
            right_hand_sides(basis, 5, tmp_path / "b.npy", **options)
    for count, options in ((0, {}), (5, {"seed": -1}), (5, {"low_share": 1.5})):
        with pytest.raises(ValueError, match="count must be positive, seed at least 0, low_share in 0 to 1"):
            right_hand_sides(basis, count, tmp_path / "c.npy", **options)


def test_training_and_validation_do_not_overlap(tmp_path, one_thread):
    (geometry,) = training_data(settings(), tmp_path)
    train = geometry.to_train(torch.arange(geometry.train)).flatten(1)
    validation = geometry.to_validate(0, 100).flatten(1)
    assert (len(train), len(validation)) == (44, 8)
    assert (train @ validation.T).abs().max() < 0.999


@pytest.mark.slow
@pytest.mark.parametrize(("what", "count"), [("Lanczos vectors", 50), ("right-hand sides", 256)])
def test_killed_generation_goes_on_bit_by_bit(tmp_path, one_thread, what, count):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    ended = subprocess.run([sys.executable, KILLED, killed, what, str(count)], capture_output=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert list(killed.rglob("*.partial"))
    made = []
    of = settings(ritz=120, count=300)
    (after,) = training_data(of, killed, lambda now, done, total: made.append((now, done)))
    assert made[0] == (what, {"Lanczos vectors": 100, "right-hand sides": 308}[what])
    (straight,) = training_data(of, whole)
    np.testing.assert_array_equal(after.rows, straight.rows)
    assert not list(killed.rglob("*.partial"))
    shutil.rmtree(killed)


def test_finished_data_are_opened_and_others_refused(tmp_path, one_thread):
    (first,) = training_data(settings(), tmp_path)
    made = []
    (second,) = training_data(settings(epochs=9), tmp_path, lambda *told: made.append(told))
    assert not made
    np.testing.assert_array_equal(first.rows, second.rows)
    for changes in ({"seed": 1}, {"problem": "ball"}, {"ritz": 61}, {"count": 45}, {"low_share": 0.6}):
        with pytest.raises(ValueError, match="holds other data"):
            training_data(settings(**changes), tmp_path)


def test_more_vectors_than_unknowns_are_refused(tmp_path):
    with pytest.raises(ValueError, match="ritz must be at most the problem's 64 unknowns, got 65"):
        training_data(settings(size=4, ritz=65), tmp_path)
