"""The short form of `make eval`: the paraphrase set through a running suite with the sentence model holds its bars, and the page is written
with the figures of the run before beside those that changed. Without a package registry the model's tests are skipped."""
import os
import subprocess
import sys

import pytest

from suite import TOP

sys.path.insert(0, os.path.join(TOP, "tests/eval"))
import quality  # noqa: E402
import quality_doc  # noqa: E402
from quality_kit import Records, bm25  # noqa: E402


@pytest.fixture(scope="module")
def records():
    return Records("paraphrase")


@pytest.fixture(scope="module")
def measured(records):
    subprocess.run([os.path.join(TOP, "deploy/model.sh")], check=True, timeout=300)
    if not os.path.exists(quality.MODEL):
        pytest.skip("the sentence model cannot be had here")
    return quality.measure("minilm", [records], False)


def test_questions_in_other_words_are_found_and_answered(measured):
    bars = quality.Bars()
    quality.judge({"minilm": measured}, bars)
    assert len(bars.lines) == 3 and bars.short() == 0, bars.lines


def test_words_alone_find_none_of_them(records):
    assert bm25(records)["hit1"] == 0


def test_the_page_has_the_figures_and_those_of_the_run_before(tmp_path):
    page, row = tmp_path / "quality.md", dict.fromkeys([key for key, _ in quality_doc.COLUMNS], 0.5)
    rank = {"ndcg": 0.1, "recall": 0.2, "hit1": 0.3, "hit3": 0.4}
    for ndcg in (0.5, 0.625):
        quality_doc.write(page, {"ngram": {"squad": {**row, "own": 7, "other": 3, "ndcg": ndcg}}}, {"squad": rank}, [("a bar", "1", ">= 1", "ok")])
    text = page.read_text()
    assert "| squad | 7 | 3 | 0.625 (0.5) | 0.500 |" in text and "| squad | 0.100 | 0.200 |" in text and "| a bar | 1 | >= 1 | ok |" in text


def test_a_bar_that_is_missed_is_short():
    bars = quality.Bars()
    quality.judge({"ngram": {"squad": {"ndcg": 0.95, "answered": 0.95, "says": 0.79, "refused": 0.2, "inexact": 1, "citations": 10}}}, bars)
    assert [line[0] for line in bars.lines if line[3] == "SHORT"] == ["ngram: squad, the answer's sentence quoted",
                                                                   "ngram: citations that differ from the document"]
