"""What a histogram is expected to show: a learned reference, and the ONNX models that carry one."""

from monitor.infer.calibration import Calibration, Pool, Tail
from monitor.infer.card import Card, parse_card
from monitor.infer.classifier import Classifier, ClassifierCard, load_classifier
from monitor.infer.model import Model, load_model
from monitor.infer.reference import Predictor, Reference, WindowScatter
from monitor.infer.windows import WindowSet, windows_of

__all__ = [
    "Calibration",
    "Card",
    "Classifier",
    "ClassifierCard",
    "Model",
    "Pool",
    "Predictor",
    "Reference",
    "Tail",
    "WindowScatter",
    "WindowSet",
    "load_classifier",
    "load_model",
    "parse_card",
    "windows_of",
]
