import torch

from networks.vision.image_transform import evaluation_transform


def test_evaluation_sees_the_middle_of_photos_and_of_batches_of_frames():
    frames = torch.zeros(5, 3, 60, 120, dtype=torch.uint8)
    frames[..., 45:75] = 255  # the middle quarter of the width is white
    images = evaluation_transform(28)(frames)
    assert images.shape == (5, 3, 28, 28)
    assert images.dtype == torch.float32
    white = images[0, 0, 14] > 0.5  # 120 wide pixels are scaled to 64, of which the middle 28 are seen
    assert white.sum() == 16
    assert white[6:22].all()
