"""The embedder's memory with the sentence model, after questions and passages: memory.py MODEL_FILE; two lines of bars."""
import os
import sys

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", d) for d in ("kit", "service")]
from embedder_kit import Embedder  # noqa: E402


def main():
    e = Embedder(EMBEDDING_MODEL_FILE=os.path.abspath(sys.argv[1]))
    for k in range(5):
        passages = e.hub.embed(*(f"{k} {i} " + "some words about a garden and its water " * 25 for i in range(16)), documents=True)
        for i in range(10):
            assert e.hub.embed(f"how much water does garden {i} of {k} need?").wait(60).code == 0
        assert passages.wait(60).code == 0, passages.head
    with open(f"/proc/{e.proc.pid}/smaps", encoding="utf-8") as f:
        parts, name = {}, ""
        for line in f:
            word = line.split()
            if "-" in word[0] and not word[0].endswith(":"):
                name = word[-1]
            elif word[0] == "Rss:":
                parts[name] = parts.get(name, 0) + int(word[1])
    e.close()
    shared = sum(kb for n, kb in parts.items() if n.endswith(os.path.basename(sys.argv[1]))) / 1024
    rows = [("embedder's RSS with the model, MB", sum(parts.values()) / 1024, 70), ("of which the shared file, MB", shared, 25)]
    for text, mb, most in rows:
        print(f"{text:<44} {mb:>12.1f}   ≤ {most:>8}   {'ok' if mb <= most else 'SHORT'}")
    sys.exit(any(mb > most for _, mb, most in rows) or shared == 0)


if __name__ == "__main__":
    main()
