"""The embedder with a sentence model: the converter's file against the model's definition, files that are refused, questions before passages.

The model is one by chance of some kilobytes; `make bench-minilm` does the same with the real one."""
import os
import random
import subprocess

import pytest

from embedder_kit import BIN, Embedder
from tiny_bert import WORDS, TinyBert, ids_of

MODELS = {"mean of tokens, names with bert.": (TinyBert(), {"prefix": "bert."}),
          "first token, half precision": (TinyBert(hidden=32, layers=2, heads=2, inner=64, cls=True, seed=9), {"half": True})}


def cosine(a, b):
    return sum(x * y for x, y in zip(a, b))


@pytest.fixture(scope="module", params=MODELS)
def served(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    model, how = MODELS[request.param]
    said = model.convert(str(folder / "in"), str(folder / "tiny.model"), **how)
    assert said.returncode == 0 and f"{model.hidden} dimensions" in said.stdout, said.stderr
    e = Embedder(EMBEDDING_MODEL_FILE=str(folder / "tiny.model"), EMBEDDER_THREADS="1")
    yield e, model, folder
    e.close()


def test_vectors_are_those_of_the_models_definition(served):
    e, model, _ = served
    texts = [" ".join(random.Random(i).choices(WORDS, k=1 + i % 14)) for i in range(40)]
    call = e.hub.embed(*texts, documents=True).wait()
    assert call.code == 0 and call.rep["model"] == "tiny-bert" and call.rep["dims"] == model.hidden
    assert min(cosine(v, model.embed(ids_of(t))) for v, t in zip(call.vectors, texts)) > 0.995


def test_a_question_has_the_vector_that_it_has_as_a_passage(served):
    e, _, _ = served
    question = e.hub.embed("How many connections ?").wait()
    passage = e.hub.embed("how many connections?", "the pool", documents=True).wait()
    assert question.code == 0 and question.vectors[0] == passage.vectors[0]


def test_a_long_text_counts_whole(served):
    e, model, _ = served
    text = "the pool keeps ten database connections open . rain is expected in the north . cats and dogs of the world"
    a, b = e.hub.embed(text, text + " , more rain", documents=True).wait().vectors
    assert a != b and abs(cosine(a, a) - 1) < 1e-4
    halves = [model.embed(ids_of(text)[i:j]) for i, j in ((0, 10), (10, 20))]
    assert cosine(a, halves[0]) > 0.5 and cosine(a, halves[1]) > 0.5


def test_questions_do_not_wait_for_a_batch(served):
    e, _, _ = served
    passages = [" ".join(random.Random(i).choices(WORDS, k=13)) for i in range(2000)]
    batch = e.hub.embed(*passages, documents=True)
    questions = [e.hub.embed(f"how many cats ? {'more ' * i}").wait() for i in range(5)]
    batch.wait(60)
    assert batch.code == 0 and len(batch.vectors) == 2000
    assert all(q.code == 0 and q.ended < batch.ended for q in questions)


@pytest.mark.parametrize("req, word", [(dict(texts=["a"], dims=100), "dims"), (dict(texts=["a"], model="other"), "model")])
def test_what_the_model_cannot_do_is_refused_with_a_reason(served, req, word):
    call = served[0].hub.ask("embed", req).wait()
    assert call.code == 22 and word in call.head["text"]


def embedder(*args, **env):
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("OPENAI_", "EMBED", "CHAT_", "REDIS_"))}
    run = subprocess.run([os.path.join(BIN, "footnote-embedder"), *args], env=dict(clean, METRICS_PORT="0", REDIS_URL="", **env),
                         capture_output=True, text=True, timeout=30)
    return run.returncode, run.stdout + run.stderr


def test_a_damaged_file_ends_the_start_with_its_name_and_the_reason(served):
    _, _, folder = served
    data = bytearray((folder / "tiny.model").read_bytes())
    data[len(data) // 2] ^= 4
    (folder / "bad.model").write_bytes(data)
    code, said = embedder(EMBEDDING_MODEL_FILE=str(folder / "bad.model"))
    assert code != 0 and "bad.model" in said and "damaged" in said
    code, said = embedder("--check-config", EMBEDDING_MODEL_FILE=str(folder / "none.model"))
    assert code == 1 and "EMBEDDING_MODEL_FILE" in said
    code, said = embedder("--check-config", EMBEDDING_PROVIDER="minilm")
    assert code == 1 and "make model" in said


def test_ngram_and_its_old_name_are_chosen_beside_a_file(served):
    for name in ("ngram", "builtin"):
        e = Embedder(EMBEDDING_MODEL_FILE=str(served[2] / "tiny.model"), EMBEDDING_PROVIDER=name)
        assert e.hub.embed("a").wait().rep["model"] == "builtin-ngram-v2"
        e.close()


def test_a_model_of_another_shape_is_refused_by_the_converter(tmp_path):
    said = TinyBert(hidden=40, heads=2, layers=1, inner=64).convert(str(tmp_path / "in"), str(tmp_path / "out"))
    assert said.returncode == 1 and "multiples of 16" in said.stderr and not (tmp_path / "out").exists()
