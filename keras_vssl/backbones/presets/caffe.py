"""Networks of Caffe."""

ARCHITECTURES = {}
