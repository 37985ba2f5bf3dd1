"""Tests of presets and the hub; a package, so that its parts find the server."""
