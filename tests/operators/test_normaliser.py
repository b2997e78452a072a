import pytest
import torch

from fastsciml.operators import NormalisedOperator, Normaliser

DATA = torch.randn(50, 2, 6, 7, dtype=torch.float64) * torch.tensor([3.0, 1e-3]).double()[:, None, None] + 5


@pytest.mark.parametrize("per", ["channel", "point", "none"])
def test_decoding_undoes_encoding(per):
    normaliser = Normaliser.fit(DATA, per)
    torch.testing.assert_close(normaliser.decode(normaliser(DATA)), DATA, rtol=1e-12, atol=0)


def test_per_channel_encodes_to_zero_mean_and_unit_deviation_on_any_grid():
    normaliser = Normaliser.fit(DATA)
    encoded = normaliser(DATA)
    torch.testing.assert_close(encoded.mean((0, 2, 3)), torch.zeros(2).double(), rtol=0, atol=1e-9)
    torch.testing.assert_close(encoded.std((0, 2, 3)), torch.ones(2).double(), rtol=5e-2, atol=0)
    assert normaliser(DATA[..., ::2, :1]).equal(encoded[..., ::2, :1])


def test_per_point_encodes_every_point_so():
    encoded = Normaliser.fit(DATA[:, :1], "point")(DATA[:, :1])
    torch.testing.assert_close(encoded.mean(0), torch.zeros(1, 6, 7).double(), rtol=0, atol=1e-9)
    torch.testing.assert_close(encoded.std(0, correction=0), torch.ones(1, 6, 7).double(), rtol=1e-3, atol=0)


def test_constant_points_and_channels_stay_what_they_are():
    walled = torch.nn.functional.pad(DATA, (1, 1, 1, 1))
    normaliser = Normaliser.fit(walled, "point")
    assert normaliser.decode(torch.randn_like(walled))[..., 0, :].abs().max() < 1e-3
    constant = torch.full((3, 1, 4), 7.0)
    assert Normaliser.fit(constant).decode(Normaliser.fit(constant)(constant)).equal(constant)


def test_mean_of_many_large_float32_values_is_exact():
    data = torch.full((64, 1, 64, 64), 1e4) + torch.rand(64, 1, 64, 64)
    assert float(Normaliser.fit(data).std) == pytest.approx(float(data.double().std()), rel=1e-3)


def test_state_dict_holds_it():
    state = Normaliser.fit(DATA).state_dict()
    again = Normaliser(state["mean"], state["std"])
    assert again(DATA).equal(Normaliser.fit(DATA)(DATA))


def test_operator_is_the_model_between_normalised_functions():
    x, y = Normaliser.fit(DATA), Normaliser.fit(3 * DATA + 2)
    operator = NormalisedOperator(torch.nn.Identity(), x, y)
    torch.testing.assert_close(operator(DATA), 3 * DATA + 2, rtol=1e-4, atol=0)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Normaliser.fit(DATA, "point")(DATA[..., ::2]), r"\(2, 6, 7\), got \(2, 6, 4\)"),
        (lambda: Normaliser.fit(DATA).decode(DATA[:, :1, 0]), r"\(2, 1, 1\), got \(1, 7\)"),
        (lambda: Normaliser.fit(DATA, "grid"), "per channel, point, none, not 'grid'"),
        (lambda: Normaliser(torch.zeros(2), torch.zeros(2)), "std must be positive"),
        (lambda: Normaliser(torch.zeros(2), torch.ones(3)), "of mean's shape"),
    ],
)
def test_what_does_not_fit_is_refused(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()
