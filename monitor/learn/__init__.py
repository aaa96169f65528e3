"""Offline: from good intervals to a reference, and from a reference to an ONNX model. Needs no network or GPU."""
