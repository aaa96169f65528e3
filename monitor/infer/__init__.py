"""What a histogram is expected to show: a learned reference, and the ONNX models that carry one."""

from monitor.infer.card import Card, parse_card
from monitor.infer.model import Model, load_model
from monitor.infer.reference import Predictor, Reference

__all__ = ["Card", "Model", "Predictor", "Reference", "load_model", "parse_card"]
