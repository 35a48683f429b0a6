"""Segmentations: each puts a customer into one segment at a time."""
