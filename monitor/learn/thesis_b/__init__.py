"""Thesis B (ATLAS, 2022): dataset, coordinate autoencoder, calibration of its clustering, benchmark."""
