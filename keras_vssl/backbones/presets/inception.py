"""Inception networks over clips."""

ARCHITECTURES = {}
