"""Pretext methods: the label is a transformation that was applied to the video."""
