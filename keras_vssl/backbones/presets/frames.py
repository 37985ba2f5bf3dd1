"""Networks over single frames, alone or with a shift between them."""

ARCHITECTURES = {}
