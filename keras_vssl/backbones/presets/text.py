"""Networks on words, and the network that hears beside them."""

ARCHITECTURES = {
    "word_bag_mil_nce": {
        "class_name": "WordBag",
        "config": {},
        "description": "MIL-NCE's bag of words on a frozen table of 66,250 vectors (1.7M trained).",
    },
    "word_bag_mmv": {
        "class_name": "WordBag",
        "config": {"rows": 65_536, "output": None},
        "description": "MMV's bag of words, on a frozen table of 65,536 vectors (0.6M trained).",
    },
    "davenet_everything_at_once": {
        "class_name": "DAVEnet",
        "config": {},
        "description": "The audio network of Everything at Once, 40 bands (314.7M parameters).",
    },
    "fusion_everything_at_once": {
        "class_name": "TokenFusion",
        "config": {},
        "description": "Everything at Once's fusion transformer over the tokens of three modalities.",
    },
}
