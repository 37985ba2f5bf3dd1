"""Networks on lips and voices."""

ARCHITECTURES = {}
