"""Generative methods: what was hidden of a video is predicted from what was not."""
