"""Printed numbers of parameters and layers against the networks that leukkit builds."""

from leukkit.audit.findings import NOT_CHECKABLE, Finding, verdict_of
from leukkit.audit.networks import HEADS, SIZES


def check(paper):
    """Return a finding per printed number of parameters, layers, convolutions or blocks."""
    found = []
    for number in paper.numbers:
        network = number.keys.get("model") or number.keys.get("backbone")
        counts = _counts(network, number) if network else {}
        if counts:
            found.append(_finding(number, network, counts))
    return found


def _counts(network, number):
    """What the number can mean -> what the built network has of it."""
    if network in HEADS:
        return _head_counts(HEADS[network]).get(number.quantity, {})
    if network not in SIZES:
        return {}
    size = SIZES[network]
    counts = {
        "parameters": {
            "for 1,000 classes": size.parameters,
            "trainable": size.trainable,
        },
        "layers": {
            "with weights": size.weight_layers,
            "with weights on the longest way": size.weight_depth,
            "of any kind on the longest way, input included": size.depth,
        },
        "convolutional layers": {"convolutions": size.convolutions},
        "blocks": {"of convolutions": len(size.blocks)},
    }
    block = number.keys.get("block")
    if block is not None:
        counts["convolutions"] = {f"in block {block}": size.blocks[block - 1]}
    return counts.get(number.quantity, {})


def _head_counts(layers):
    of = {kind: layers.count(kind) for kind in dict.fromkeys(layers)}
    weights = of["Conv2D"] + of["Dense"]
    added = {
        "of any kind": len(layers),
        "with weights or statistics": weights + of["BatchNormalization"],
        "with weights": weights,
    }
    return {
        "added layers": added,
        "layers of the custom architecture": added,
        "added convolutions": {"convolutions": of["Conv2D"]},
        "dense layers": {"dense": of["Dense"]},
    }


def _finding(number, network, counts):
    in_millions = number.unit == "millions"
    shown = {
        text: f"{value / 1e6:.2f} million" if in_millions else str(value)
        for text, value in counts.items()
    }
    recomputed = ", ".join(f"{value} {text}" for text, value in shown.items())
    claim = f"{network}: {number.text} {'million ' if in_millions else ''}{number.quantity}"
    if "block" in number.keys:
        claim += f" in block {number.keys['block']}"
    if not number.is_number:
        reason = f"{number.text!r} is not one number"
        return Finding(number.where, claim, recomputed, NOT_CHECKABLE, reason, (number,))
    fitting = [text for text, value in counts.items() if number.is_met(value)]
    evidence = f"layers of the network that leukkit builds ({network})"
    if fitting:
        evidence += f"; met: {', '.join(fitting)}"
    elif others := [name for name, size in SIZES.items() if _meets(number, size)]:
        evidence += f"; it would be met by {', '.join(others)}"
    return Finding(number.where, claim, recomputed, verdict_of(bool(fitting)), evidence, (number,))


def _meets(number, size):
    return number.quantity == "parameters" and bool(number.is_met(size.parameters))
