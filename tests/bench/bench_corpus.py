"""The documents and questions of the benchmarks: 40 manuals of made-up machines, 2,000 questions that they answer.

Each document describes 10 machines, each with five facts; a question names a machine and a fact. Nothing is random, so every
run asks the same."""
import itertools
import random

FIRST = "Bre Cal Dor Fen Gal Hov Jas Kel Lum Mor Nes Orv Pel Quor Ras Sil Tav Ulm Ver Wex".split()
LAST = "dana fort gale hurst isco kano lane mira nova orra pike rand sara tone urga vale wick xara yard zeta".split()
KINDS = ("pump", "boiler", "lathe", "press")
FACTS = (
    ("runs at a pressure of {} bar", "At what pressure does the {} {} run?"),
    ("needs a new filter every {} days", "How often does the {} {} need a new filter?"),
    ("weighs {} kilograms without its frame", "How much does the {} {} weigh?"),
    ("is switched off above {} degrees", "Above which temperature is the {} {} switched off?"),
    ("shows the fault code {} when its valve is stuck", "Which fault code does the {} {} show when its valve is stuck?"),
)


def machines():
    """400 of them: (name, kind, its five numbers)."""
    draw = random.Random(4)
    for i, (a, b) in enumerate(itertools.product(FIRST, LAST)):
        yield a + b, KINDS[i % len(KINDS)], [draw.randrange(2, 990) for _ in FACTS]


def section(name, kind, numbers):
    lines = [f"The {name} {kind} {fact.format(n)}." for (fact, _), n in zip(FACTS, numbers)]
    lines.append(f"Whoever works on the {name} reads this page first, closes both taps, waits until the wheel stands still, and "
                 "writes the date and the reading into the book beside the machine.")
    return f"## {name} {kind}\n\n" + " ".join(lines)


def documents():
    every = list(machines())
    for i in range(0, len(every), 10):
        part = every[i:i + 10]
        yield {"id": f"manual-{i // 10}", "title": f"Machines from {part[0][0]} to {part[-1][0]}",
               "text": "\n\n".join(section(*m) for m in part)}


def questions():
    """All 2,000, in an order that mixes machines and facts."""
    every = [question.format(name, kind) for name, kind, _ in machines() for _, question in FACTS]
    random.Random(5).shuffle(every)
    return every


def zipf(n, texts, s=1.0, seed=6):
    """n draws of 0 … texts - 1, where the k-th is drawn with a probability in proportion to 1 / k^s."""
    weights = list(itertools.accumulate(1 / k ** s for k in range(1, texts + 1)))
    return random.Random(seed).choices(range(texts), cum_weights=weights, k=n)
