"""Callbacks: checkpoints, sessions, pictures and sounds of a fit, its speed, stored predictions and evaluations."""

from callbacks.best_checkpoint import BestCheckpoint
from callbacks.config_saver import ConfigSaver
from callbacks.evaluation_writer import EvaluationWriter
from callbacks.final_validation import FinalValidation
from callbacks.media_logger import MediaLogger
from callbacks.prediction_writer import PredictionWriter
from callbacks.progress_bar import StepProgressBar
from callbacks.session import Session, SessionEnd
from callbacks.throughput import Throughput

__all__ = [
    "BestCheckpoint",
    "ConfigSaver",
    "EvaluationWriter",
    "FinalValidation",
    "MediaLogger",
    "PredictionWriter",
    "Session",
    "SessionEnd",
    "StepProgressBar",
    "Throughput",
]
