"""How Haiku writes a network down: modules' paths, and batch normalisations."""


def flatten_haiku(content):
    """Haiku's parameters and state as one dict of `module/name` to array.

    Args:
        content: dict of "params" and maybe "state", each a dict of a module's path to a dict of
            names to arrays.
    """
    return {
        f"{module}/{name}": array
        for tree in (content["params"], content.get("state") or {})
        for module, arrays in tree.items()
        for name, array in arrays.items()
    }


def map_haiku_norm(mapping, name, layer):
    """Haiku's batch normalisation: vectors behind axes of 1, and averages that are not used."""
    variables = {
        "scale": layer.gamma,
        "offset": layer.beta,
        "~/mean_ema/average": layer.moving_mean,
        "~/var_ema/average": layer.moving_variance,
    }
    for part, variable in variables.items():
        mapping.add(f"{name}/{part}", variable, lambda array: array.reshape(-1))
    mapping.ignore(
        *(f"{name}/~/{e}_ema/{part}" for e in ("mean", "var") for part in ("hidden", "counter"))
    )
