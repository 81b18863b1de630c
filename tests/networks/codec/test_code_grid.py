import pytest
import torch

from networks.codec.code_grid import flatten_codes, unflatten_codes


def test_the_order_is_column_by_column():
    grid = torch.tensor([[0, 1, 2], [10, 11, 12]])  # two frequencies, three times
    assert flatten_codes(grid).tolist() == [0, 10, 1, 11, 2, 12]


def test_a_prefix_of_the_sequence_is_a_prefix_of_time():
    grid = torch.arange(2 * 5 * 7).view(2, 5, 7)
    for num_columns in range(8):
        beginning = flatten_codes(grid[:, :, :num_columns])
        assert torch.equal(flatten_codes(grid)[:, : 5 * num_columns], beginning)


@pytest.mark.parametrize("leading", [(), (3,), (2, 3)])
def test_unflatten_is_the_inverse(leading):
    grid = torch.randint(128, (*leading, 4, 6))
    assert torch.equal(unflatten_codes(flatten_codes(grid), num_rows=4), grid)


def test_a_broken_column_is_refused():
    with pytest.raises(ValueError, match="10 codes do not fill whole columns of 4 rows"):
        unflatten_codes(torch.zeros(2, 10), num_rows=4)
