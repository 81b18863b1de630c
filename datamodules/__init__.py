"""Data modules, one file for each kind of data."""

from datamodules.codes import BottomCodesDataModule, TopCodesDataModule
from datamodules.features import FeatureDataModule
from datamodules.films import FilmDataModule
from datamodules.photos import PhotoDataModule
from datamodules.sounds import SpectrogramDataModule
from datamodules.videos import VideoDataModule

__all__ = [
    "BottomCodesDataModule",
    "FeatureDataModule",
    "FilmDataModule",
    "PhotoDataModule",
    "SpectrogramDataModule",
    "TopCodesDataModule",
    "VideoDataModule",
]
