"""Cross-modal methods: pictures and sound, or pictures and words, teach each other."""
