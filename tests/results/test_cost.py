import re
import shutil

import pytest

from results.cost import count_flops, count_samples, main
from tests.helpers.tiny import tiny_top


def test_a_transformers_cost_is_that_of_its_products():
    system = tiny_top()
    network = system.network
    blocks = network.transformer.blocks
    width, length = network.code_embedding.embedding_dim, network.num_rows * network.num_columns
    hidden = blocks[0].expand.out_features
    products = len(blocks) * (4 * width**2 + 2 * width * hidden) + width * network.num_codes
    forward = 2 * length * products + len(blocks) * 4 * length**2 * width
    assert count_flops(system) == pytest.approx(3 * forward, rel=0.1)  # attention's backward pass has 5 products, not 4


def test_accumulated_batches_make_one_step():
    config = {"data": {"init_args": {"batch_size": 4}}, "trainer": {"accumulate_grad_batches": 3}}
    assert count_samples(config) == 12


def test_what_is_not_fitted_is_left_open(chain, tmp_path, capsys):
    shutil.copytree(chain / "checkpoints" / "vqvae", tmp_path / "vqvae")
    main(["--checkpoints", str(tmp_path)])
    printed = capsys.readouterr().out
    assert printed.count("–") == 4 * 5
    assert re.search(r"vqvae +[\d,]+ +[1-9]", printed)


def test_a_folder_without_any_checkpoint_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="neither last"):
        main(["--checkpoints", str(tmp_path)])
