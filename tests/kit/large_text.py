"""Large Markdown documents as people write them: English sentences that compress well (to a tenth), every passage its own."""
import random

SENTENCES = (
    "The {a} valve of station {n} is opened by hand before the {b} pump starts.",
    "Check the {a} gauge every {n} hours and write the reading into the {b} log.",
    "A {a} sensor that reads more than {n} degrees stops the {b} line at once.",
    "Nobody enters hall {n} while the {a} crane moves the {b} container.",
    "When the {a} lamp blinks, wait {n} seconds and press the {b} button again.",
    "The {a} filter lasts {n} days; order the {b} spare part in time.",
)
WORDS = "upper lower left right inner outer blue green yellow spare main second front rear north south east west".split()


def markdown(size, seed=1, needle=None):
    """`size` bytes of Markdown; needle: a sentence that stands in its middle."""
    rnd, parts, n, length = random.Random(seed), [], 0, 0
    while length < size:
        n += 1
        body = " ".join(s.format(a=rnd.choice(WORDS), b=rnd.choice(WORDS), n=rnd.randrange(10, 9999)) for s in SENTENCES)
        part = f"## Station {seed}-{n}\n\n{body}\n\n"
        if needle and length < size / 2 <= length + len(part):
            part += f"{needle}\n\n"
        parts.append(part)
        length += len(part)
    return "".join(parts)[:size]
