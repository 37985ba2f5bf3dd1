"""What the tables of several families share: statistics, initializers, small inputs."""

# torchvision's Kinetics statistics.
KINETICS = {"mean": [0.43216, 0.394666, 0.37645], "std": [0.22803, 0.22145, 0.216989]}
IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
# PySlowFast's and pytorchvideo's statistics.
SLOWFAST = {"mean": [0.45] * 3, "std": [0.225] * 3}
# PyTorch's default for convolutions: Kaiming uniform with a = sqrt(5).
PYTORCH_DEFAULT = {
    "class_name": "VarianceScaling",
    "config": {"scale": 1 / 3, "mode": "fan_in", "distribution": "uniform"},
}
KAIMING_FAN_OUT = {
    "class_name": "VarianceScaling",
    "config": {"scale": 2.0, "mode": "fan_out", "distribution": "untruncated_normal"},
}
NANO = {"width": 16, "clip": {"frames": 8, "stride": 1, "resize": [48, 64], "size": 48}}
