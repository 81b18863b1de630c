import re

import pytest

import cli
from callbacks import progress_bar
from tests.conftest import TINY, working_folder


@pytest.mark.parametrize("line_every_s", [0.0, 1000.0])
def test_a_log_file_gets_lines_in_place_of_a_bar(data_root, tmp_path, capsys, monkeypatch, line_every_s):
    monkeypatch.setattr(progress_bar, "LINE_EVERY_S", line_every_s)
    args = ["fit", "--config", "vqvae.yaml", "--config", str(TINY / "vqvae.yaml"), "--data.root", str(data_root)]
    with working_folder(tmp_path):
        cli.main([*args, "--trainer.logger", "false", "--trainer.max_steps", "4"])
    printed = capsys.readouterr().out
    steps = re.findall(r"^Epoch 0, step (\d)/4: train/loss [\d.]+, [\d.e-]+ s a step$", printed, flags=re.MULTILINE)
    assert steps == (["1", "2", "3", "4"] if line_every_s == 0 else [])
    (figures,) = re.findall(r"^Epoch 0, step 4/4: (val/.+)$", printed, flags=re.MULTILINE)
    assert re.search(r"val/mse 0\.\d+", figures)
