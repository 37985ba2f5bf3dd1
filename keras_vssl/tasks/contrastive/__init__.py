"""Contrastive methods: embeddings of one video's clips are told from those of other videos."""
