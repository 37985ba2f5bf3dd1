"""Networks on words."""

ARCHITECTURES = {}
