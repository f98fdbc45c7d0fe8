"""docs/clients.md is true: its Python runs as it stands there, and what it says of settings is what those programs read."""
import os
import re

import pytest
import yaml
from client_kit import ANSWER, BASE, CHAT_KEY, PAGE, QUESTION, URL
from openai import OpenAI

with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "clients.md"), encoding="utf-8") as f:
    MANUAL = f.read()


def blocks(heading, language):
    """The blocks below a heading, with the address, the key and the question filled in."""
    part = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", MANUAL, re.M | re.S)[1]
    found = re.findall(rf"^```{language}\n(.*?)^```", part, re.M | re.S)
    assert found, (heading, language)
    return [b.replace("https://answers.example.org", URL).replace("fn_…", CHAT_KEY).replace("How are backups made?", QUESTION) for b in found]


@pytest.mark.parametrize("heading", ["OpenAI's client", "LangChain", "LlamaIndex"])
def test_its_python_prints_the_answer_and_where_it_comes_from(heading, capsys):
    for block in blocks(heading, "python"):
        exec(compile(block, heading, "exec"), {})
        said = capsys.readouterr().out
        assert said.startswith(ANSWER) and PAGE in said.splitlines()[-1], said


def settings(heading):
    return dict(line.split("=", 1) for line in blocks(heading, "sh")[0].splitlines())


def model_answers(base, key, model):
    r = OpenAI(base_url=base, api_key=key, max_retries=0).chat.completions.create(model=model, messages=[{"role": "user", "content": QUESTION}])
    return r.choices[0].message.content.startswith(ANSWER)


def test_what_open_webui_is_told():
    if not os.environ.get("OPENWEBUI"):
        pytest.skip("the package open-webui is not here")
    told = settings("Open WebUI")
    with open(os.path.join(os.environ["OPENWEBUI"], "open_webui", "config.py"), encoding="utf-8") as f:
        reads = set(re.findall(r"os\.getenv\('([A-Z_]+)'", f.read()))
    assert set(told) <= reads, set(told) - reads
    models = {m.id for m in OpenAI(base_url=told["OPENAI_API_BASE_URLS"], api_key=told["OPENAI_API_KEYS"]).models.list()}
    assert {"docs", told["TASK_MODEL_EXTERNAL"]} <= models


def test_what_librechat_and_anythingllm_are_told():
    libre, = yaml.safe_load(blocks("LibreChat", "yaml")[0])["endpoints"]["custom"]
    models = OpenAI(base_url=libre["baseURL"], api_key=CHAT_KEY).models
    assert all(models.retrieve(m).id == m for m in (*libre["models"]["default"], libre["titleModel"]))
    assert model_answers(libre["baseURL"], CHAT_KEY, libre["models"]["default"][0])
    told = settings("AnythingLLM, and other front ends for servers like OpenAI's")
    assert model_answers(told["GENERIC_OPEN_AI_BASE_PATH"], told["GENERIC_OPEN_AI_API_KEY"], told["GENERIC_OPEN_AI_MODEL_PREF"])
    assert BASE == libre["baseURL"]
