"""What the claims in README.md and docs/ rest on."""
