"""Statements that compare numbers of the tables: last epochs, gains, metrics led."""

from leukkit.audit.findings import Finding, verdict_of
from leukkit.audit.printed import percent
from leukkit.audit.repeated import agree
from leukkit.audit.sources import SCORES, name

NUMBER_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
# quantity -> the sign of "with transfer learning minus without"
DIFFERENCES = {
    "largest accuracy gain over original networks": 1,
    "accuracy loss against the original network": -1,
}
BASE_VARIANT = "full-training"


def check(paper):
    """Return the findings on last epochs, differences of accuracies, and metrics led."""
    return [*_last_epoch(paper), *_differences(paper), *_metrics_led(paper)]


def _last_epoch(paper):
    """The last row of a table by epochs against the same accuracy printed without an epoch."""
    found = []
    by_run = {}
    for number in paper.cells:
        if "epoch" in number.keys:
            keys = {k: v for k, v in number.keys.items() if k != "epoch"}
            key = number.where, number.quantity, tuple(sorted(keys.items()))
            by_run.setdefault(key, []).append(number)
    for (where, quantity, keys), numbers in by_run.items():
        last = max(numbers, key=lambda number: number.keys["epoch"])
        for final in paper.cells:
            if final.quantity != quantity or final.keys != dict(keys):
                continue
            in_rows = [number for number in numbers if agree(number, final)]
            claim = f"{name(dict(keys))}, epoch {last.keys['epoch']}: {last.text}"
            epochs = ", ".join(f"epoch {number.keys['epoch']}" for number in in_rows)
            evidence = f"{final.where} prints {final.text} without an epoch; in {where} it "
            evidence += f"stands at {epochs}" if in_rows else "stands in no row"
            uses = (last, final)
            verdict = verdict_of(agree(last, final))
            found.append(Finding(where, claim, final.text, verdict, evidence, uses))
    return found


def _differences(paper):
    """Gains and losses in test accuracy between two variants of the same networks."""
    found = []
    for claim in [n for n in paper.numbers if n.quantity in DIFFERENCES]:
        sign = DIFFERENCES[claim.quantity]
        tests = paper.find("accuracy", part="test", variant=claim.keys["variant"])
        without = paper.find("accuracy", part="test", variant=BASE_VARIANT)
        base = {number.keys["model"]: number for number in without}
        pairs = [(n, base[n.keys["model"]]) for n in tests if n.keys["model"] in base]
        if "model" in claim.keys:
            pairs = [pair for pair in pairs if pair[0].keys["model"] == claim.keys["model"]]
        changes = {n.keys["model"]: sign * (n.exact - old.exact) for n, old in pairs}
        largest = max(changes.values())
        texts = ", ".join(f"{model} {percent(change, 0)}" for model, change in changes.items())
        where = ", ".join(dict.fromkeys(number.where for pair in pairs for number in pair))
        stated = f"{claim.quantity}: {claim.text} points"
        evidence = f"test accuracies of {where}, differences in points: {texts}"
        uses = (claim, *(number for pair in pairs for number in pair))
        verdict = verdict_of(largest * 100 == claim.exact)
        found.append(Finding(claim.where, stated, percent(largest, 0), verdict, evidence, uses))
    return found


def _metrics_led(paper):
    """In how many metrics a network is ahead, against "four out of five" in words."""
    found = []
    for claim in paper.find("metrics led"):
        led, of = (NUMBER_WORDS.index(word) for word in claim.text.split() if word in NUMBER_WORDS)
        rivals = {}
        for number in paper.cells:
            if number.quantity in SCORES and number.keys.get("part") == claim.keys["part"]:
                rivals.setdefault((number.where, number.quantity), []).append(number)
        ahead, behind, uses = [], [], [claim]
        for (_, quantity), numbers in rivals.items():
            if len(numbers) < 2:
                continue
            best = max(numbers, key=lambda number: number.exact)
            is_ahead = best.keys["model"] == claim.keys["model"]
            (ahead if is_ahead else behind).append(f"{quantity} ({best.keys['model']} {best.text})")
            uses += numbers
        recomputed = f"{len(ahead)} of {len(ahead) + len(behind)}"
        evidence = f"ahead in {', '.join(ahead)}; behind in {', '.join(behind)}"
        verdict = verdict_of((led, of) == (len(ahead), len(ahead) + len(behind)))
        text = f"{claim.text} metrics led by {claim.keys['model']}"
        found.append(Finding(claim.where, text, recomputed, verdict, evidence, tuple(uses)))
    return found
