import pytest
import torch

from fastsciml.data import OperatorData
from fastsciml.operators import RunSettings
from fastsciml.operators.problems import PROBLEMS, problem_named
from fastsciml.operators.training_data import one_step_pairs, thinned, training_data


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, samples in (("a.npz", 10), ("b.npz", 5)):
        x = torch.arange(samples).float()[:, None, None, None].expand(samples, 1, 9, 9).contiguous()
        OperatorData(x, -x).save(name)
    return tmp_path


def samples(data):
    assert (data.y == -data.x).all()
    return data.x[:, 0, 0, 0].tolist()


@pytest.mark.parametrize(
    ("settings", "train", "test"),
    [
        ({"test": 3}, range(7), range(7, 10)),
        ({"test": 3, "train": 2}, range(2), range(7, 10)),
        ({"test": 3, "train": 2, "test_data": "b.npz"}, range(2), range(3)),
        ({"test": 5, "test_data": "b.npz"}, range(10), range(5)),
    ],
)
def test_first_samples_are_trained_on_and_others_tested_on(files, settings, train, test):
    found = training_data(RunSettings(data="a.npz", **settings), files)
    assert [samples(data) for data in found] == [list(train), list(test)]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"test": 10}, "have 10 samples, too few to train on some and test on 10 others"),
        ({"test": 5, "train": 6}, "have 10 samples, too few to train on 6 and test on 5 others"),
        ({"test": 6, "test_data": "b.npz"}, "test must be at most the data's 5 samples, got 6"),
        ({"test": 1, "train": 11, "test_data": "b.npz"}, "train must be at most the data's 10 samples, got 11"),
    ],
)
def test_too_few_samples_are_refused(files, settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        training_data(RunSettings(data="a.npz", **settings), files)


def test_grids_are_thinned_along_every_axis():
    t = torch.arange(2 * 3 * 5 * 6).view(2, 3, 5, 6)
    assert thinned(t, 2).equal(t[:, :, ::2, ::2])
    assert thinned(t, 1).equal(t)


def test_subsampled_data_are_thinned(files):
    train, test = training_data(RunSettings(data="a.npz", test=3, subsample=4), files)
    assert {t.shape[1:] for data in (train, test) for t in (data.x, data.y)} == {(1, 3, 3)}


def test_trajectories_become_pairs_of_a_state_and_the_next():
    states = torch.arange(4.0)[None, :, None] + 10 * torch.arange(2.0)[:, None, None] + torch.zeros(2, 4, 5)
    pairs = one_step_pairs(OperatorData(states[:, :1], states[:, 1:]))
    assert pairs.x.shape == pairs.y.shape == (6, 1, 5)
    assert pairs.x[:, 0, 0].tolist() == [0, 1, 2, 10, 11, 12]
    assert pairs.y.equal(pairs.x + 1)


def test_one_step_data_are_split_before_they_become_pairs(files):
    OperatorData(torch.zeros(4, 1, 6), torch.arange(1.0, 4)[None, :, None].expand(4, 3, 6).contiguous()).save("c.npz")
    train, test = training_data(RunSettings(data="c.npz", test=1, one_step=True), files)
    assert (len(train), len(test)) == (9, 3)


def test_pairs_of_other_grids_are_no_trajectories():
    for x in (torch.ones(2, 1, 4), torch.ones(2, 2, 5)):
        with pytest.raises(ValueError, match="for single steps x must be one channel on y's grid"):
            one_step_pairs(OperatorData(x, torch.ones(2, 3, 5)))


def test_generated_data_stay_in_the_folder_and_are_read_again(tmp_path):
    settings = RunSettings(generate="darcy-smooth", samples=5, test=2, resolution=9, refine=1, data_seed=3)
    told = []
    first = training_data(settings, tmp_path / "run", progress=lambda done, of: told.append((done, of)))
    again = training_data(settings, tmp_path / "run", progress=lambda done, of: pytest.fail("made again"))
    assert told == [(5, 5)]
    assert [len(data) for data in first] == [3, 2]
    assert all(a.x.equal(b.x) and a.y.equal(b.y) for a, b in zip(first, again, strict=True))


@pytest.mark.parametrize("name", PROBLEMS)
def test_problems_are_named_and_take_a_grid(name):
    about = problem_named(name, 12, 3).about
    assert (about["resolution"], about["refine"]) == (12, 3)
    assert about["name"].replace("_", "-") in name or about["coefficient"] in name
    assert problem_named(name, 12).about["refine"] == type(problem_named(name, 12)).refine


def test_unknown_problem_is_refused():
    with pytest.raises(ValueError, match=r"problem must be one of darcy-smooth, .*, got 'stokes'"):
        problem_named("stokes", 12)
