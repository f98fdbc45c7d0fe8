"""Open WebUI's own request code (openwebui_kit.py): models, chat as its front end asks, titles, embeddings, errors."""
import asyncio
import json
import os
import re

import pytest
from client_kit import ANSWER, BASE, CHAT_KEY, NOTHING, PAGE, QUESTION, last_chat, script

if not os.environ.get("OPENWEBUI"):
    pytest.skip("the package open-webui is not here", allow_module_level=True)
import openwebui_kit as owui  # noqa: E402

# what its front end sends with every question
CHAT = {"model": "docs", "stream": True, "stream_options": {"include_usage": True}, "params": {}, "temperature": 0.7, "max_completion_tokens": 500,
        "metadata": {"chat_id": "c1", "message_id": "m1", "assistant_message_id": "m2"}}


def run(coroutine):
    async def main():
        try:
            return await coroutine
        finally:
            await owui.session_pool.close_session()
    return asyncio.run(main())


async def complete(body, **config):
    """A whole reply as a dict; of a stream its chunks."""
    owui.connect(BASE, config.pop("key", CHAT_KEY), **config)
    r = await owui.openai.generate_chat_completion(owui.request(), body, user=owui.USER)
    if not hasattr(r, "body_iterator"):
        return r
    lines = [line async for line in r.body_iterator]
    return [line.decode().removeprefix("data: ").strip() for line in lines if line.startswith(b"data: ")]


def ask(content, **more):
    return {**CHAT, "messages": [{"role": "user", "content": content}], **more}


def test_a_connection_is_verified_and_its_models_are_listed():
    async def use():
        form = owui.openai.ConnectionVerificationForm.model_construct(url=BASE, key=CHAT_KEY, config={})
        verified = await owui.openai.verify_connection(owui.request(), form, user=owui.USER)
        owui.connect(BASE, CHAT_KEY, prefix_id="fn", tags=[])
        return verified, await owui.openai.get_all_models(owui.request(), user=owui.USER)
    verified, models = run(use())
    assert {"docs", "raw"} <= {m["id"] for m in verified["data"]}
    assert {"fn.docs", "fn.raw", "fn.rag:docs"} <= {m["id"] for m in models["data"]}


def test_an_answer_streams_with_the_citations_that_it_shows_as_sources():
    events = run(complete(ask(QUESTION)))
    assert events[-1] == "[DONE]"
    chunks = [json.loads(e) for e in events[:-1]]
    deltas = [c["choices"][0]["delta"] for c in chunks if c.get("choices")]
    assert "".join(d.get("content") or "" for d in deltas).startswith(ANSWER)
    # its middleware takes a source from each annotation of a delta that has this form
    notes = [n["url_citation"] for d in deltas for n in d.get("annotations") or [] if n.get("type") == "url_citation" and "url_citation" in n]
    assert notes and notes[0]["url"] == PAGE and notes[0]["title"]
    assert next(c["usage"] for c in chunks if c.get("usage"))["total_tokens"] > 0


def test_whole_replies_history_prompts_and_parts():
    said = run(complete(ask(QUESTION, stream=False)))
    assert said["choices"][0]["message"]["content"].startswith(ANSWER) and said["choices"][0]["message"]["annotations"][0]["url_citation"]["url"] == PAGE
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Tell me of the lighthouse of Varnholm."},
             {"role": "assistant", "content": "It stands at the sea."}, {"role": "user", "content": [{"type": "text", "text": "Who built it?"}]}]
    assert "Ingrid Solheim" in run(complete({**CHAT, "stream": False, "messages": turns}))["choices"][0]["message"]["content"]
    assert run(complete(ask(NOTHING, stream=False)))["choices"][0]["message"]["content"]


def test_the_responses_api_of_a_connection():
    said = run(complete(ask(QUESTION, stream=False), api_type="responses"))
    assert said["choices"][0]["message"]["content"].startswith(ANSWER), said
    owui.connect(BASE, CHAT_KEY)
    form = owui.openai.ResponsesForm(model="docs", input=QUESTION, stream=False)
    whole = run(owui.openai.responses(owui.request(), form, user=owui.USER))
    assert any(n["url"] == PAGE for o in whole["output"] for part in o.get("content", []) for n in part.get("annotations", []))


def test_a_title_is_the_models_own_and_not_refused():
    with open(os.path.join(owui.FOLDER, "open_webui", "config.py"), encoding="utf-8") as f:
        template = re.search(r'^DEFAULT_TITLE_GENERATION_PROMPT_TEMPLATE = """(.*?)"""', f.read(), re.M | re.S)[1]
    messages = [{"role": "user", "content": QUESTION}, {"role": "assistant", "content": ANSWER}]
    prompt = run(owui.task.title_generation_template(template, messages, None))
    assert QUESTION in prompt
    script({"route": "chat", "text": '{ "title": "Varnholm Lighthouse" }'})
    said = run(complete({"model": "raw", "messages": [{"role": "user", "content": prompt}], "stream": False, "max_tokens": 1000,
                         "metadata": {"task": "title_generation", "chat_id": "c1"}}))
    assert json.loads(said["choices"][0]["message"]["content"]) == {"title": "Varnholm Lighthouse"}
    assert last_chat()["messages"][-1]["content"] == prompt


def test_embeddings_in_both_of_its_ways():
    async def use():
        owui.connect(BASE, CHAT_KEY)
        one = await owui.openai.embeddings(owui.request(), {"model": "any", "input": ["oil", "bread"]}, user=owui.USER)
        many = await owui.retrieval.agenerate_openai_batch_embeddings("any", ["oil", "bread"], url=BASE, key=CHAT_KEY, user=owui.USER)
        return one, many
    one, many = run(use())
    assert len(many) == 2 and [d["embedding"] for d in one["data"]] == many


def test_errors_reach_it_in_the_shape_that_it_passes_on():
    r = run(complete({**ask(QUESTION), "model": "docs"}, key="fn_wrong", model_ids=["docs"]))
    assert r.status_code == 401 and json.loads(r.body)["error"]["code"] == "invalid_api_key"
    r = run(complete(ask(QUESTION, model="gpt-9"), model_ids=["gpt-9"]))
    assert r.status_code == 404 and json.loads(r.body)["error"]["code"] == "model_not_found"
