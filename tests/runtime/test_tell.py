from lightning.pytorch.utilities import rank_zero_only

from runtime.tell import tell


def test_the_first_process_speaks_for_all_and_each_for_itself(capsys, monkeypatch):
    tell("Using last.ckpt.")
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    tell("Using last.ckpt.")
    tell("Failed: cat.mp4", by_each_process=True)
    assert capsys.readouterr().out == "Using last.ckpt.\nFailed: cat.mp4\n"
