"""The official OpenAI client for Python, as it comes from its registry."""
import time

import openai
import pytest
from client_kit import ANSWER, BASE, CHAT_KEY, NOTHING, PAGE, QUESTION, SLOW_KEY, last_chat, script
from openai import OpenAI

client = OpenAI(base_url=BASE, api_key=CHAT_KEY, max_retries=0)


def ask(question=QUESTION, model="docs", **kw):
    return client.chat.completions.create(model=model, messages=[{"role": "user", "content": question}], **kw)


def check_notes(text, notes):
    assert notes and notes[0].type == "url_citation"
    c = notes[0].url_citation
    assert c.url == PAGE and c.title and text[c.start_index:c.end_index] == "[1]"


def test_a_completion_has_the_answer_and_its_citations():
    r = ask()
    said = r.choices[0].message
    assert said.role == "assistant" and said.content.startswith(ANSWER) and r.choices[0].finish_reason == "stop"
    check_notes(said.content, said.annotations)
    assert r.model == "docs" and r.object == "chat.completion" and r.usage.total_tokens == r.usage.prompt_tokens + r.usage.completion_tokens
    assert abs(r.created - time.time()) < 120


def test_a_stream_says_the_same_and_ends_with_what_it_used():
    role, text, notes, finish, usage, ids = None, "", [], None, None, set()
    for chunk in ask("Which oil does the lamp burn?", stream=True, stream_options={"include_usage": True}):
        ids.add((chunk.id, chunk.created, chunk.model))
        usage = chunk.usage or usage
        for choice in chunk.choices:
            assert finish is None, "nothing comes behind the finish"
            role = role or choice.delta.role
            text += choice.delta.content or ""
            notes += (choice.delta.model_extra or {}).get("annotations") or []
            finish = choice.finish_reason
    assert len(ids) == 1 and role == "assistant" and finish == "stop" and usage.total_tokens > 0
    c = notes[0]["url_citation"]
    assert text[c["start_index"]:c["end_index"]] == "[1]" and c["url"] == PAGE


def test_the_stream_helper_puts_the_same_completion_together():
    with client.chat.completions.stream(model="docs", messages=[{"role": "user", "content": QUESTION}]) as s:
        for _ in s:
            pass
        assert s.get_final_completion().choices[0].message.content.startswith(ANSWER)


def test_a_conversation_is_told_and_its_last_question_is_answered():
    r = client.chat.completions.create(model="docs", temperature=0.5, max_tokens=300, messages=[
        {"role": "system", "content": "You speak like a keeper of lighthouses."},
        {"role": "user", "content": "Tell me of the lighthouse of Varnholm."},
        {"role": "assistant", "content": "It stands at the sea."},
        {"role": "user", "content": [{"type": "text", "text": "Who built it?"}]}])
    assert "Ingrid Solheim" in r.choices[0].message.content
    sent = last_chat()
    text = str(sent)
    assert "You speak like a keeper of lighthouses." in text and "It stands at the sea." in text and sent["temperature"] == 0.5
    assert sent["messages"][-1]["content"].endswith("Who built it?")


def test_what_the_documents_do_not_answer_is_said_so_without_citations():
    said = ask(NOTHING).choices[0].message
    assert said.content and said.annotations == []


def test_a_long_question_is_searched_by_its_end():
    noise = "We have had a long day in the office and talked about many things that do not matter. " * 300
    r = ask(noise + QUESTION)
    assert "Ingrid Solheim" in r.choices[0].message.content
    with pytest.raises(openai.BadRequestError) as e:
        ask("x" * 32001)
    assert e.value.param == "messages[0].content"


def test_titles_and_tags_come_from_the_model_alone():
    script({"route": "chat", "text": "Lighthouse lore", "times": 1})
    r = ask("### Task:\nGenerate a concise, 3-5 word title with an emoji summarizing the chat history.", model="raw",
            response_format={"type": "json_object"}, stop=["\n\n"])
    assert r.choices[0].message.content == "Lighthouse lore" and not r.choices[0].message.annotations
    sent = last_chat()
    assert len(sent["messages"]) == 1 and sent["response_format"] == {"type": "json_object"} and sent["stop"] == ["\n\n"]


def test_a_prompt_of_the_old_kind_is_answered_and_streamed():
    r = client.completions.create(model="docs", prompt=QUESTION)
    assert r.object == "text_completion" and r.choices[0].text.startswith(ANSWER) and "[1]" in r.choices[0].text
    assert "".join(c.choices[0].text for c in client.completions.create(model="docs", prompt=[QUESTION], stream=True)).startswith(ANSWER)
    with pytest.raises(openai.BadRequestError) as e:
        client.completions.create(model="docs", prompt=["a", "b"])
    assert e.value.param == "prompt"


def test_models_are_listed_and_found_by_name():
    ids = {m.id for m in client.models.list()}
    assert {"docs", "raw", "rag:docs", "gpt-4o"} <= ids
    assert client.models.retrieve("rag:docs").owned_by == "footnote"
    with pytest.raises(openai.NotFoundError) as e:
        client.models.retrieve("gpt-9")
    assert e.value.code == "model_not_found"
    assert ask(model="gpt-4o").model == "gpt-4o" and "Ingrid" in ask(model="rag:docs").choices[0].message.content


def test_embeddings_are_the_same_by_default_and_as_floats():
    texts = ["the lamp burns oil", "bread", "the lamp burns oil"]
    default = client.embeddings.create(model="text-embedding-3-small", input=texts)  # asks for base64 and decodes it
    floats = client.embeddings.create(model="text-embedding-3-small", input=texts, encoding_format="float")
    assert [d.index for d in default.data] == [0, 1, 2] and default.data[0].embedding == default.data[2].embedding
    for a, b in zip(default.data, floats.data):
        assert a.embedding == pytest.approx(b.embedding, abs=1e-7) and sum(x * x for x in a.embedding) == pytest.approx(1, abs=1e-5)
    assert len(client.embeddings.create(model="m", input="a", dimensions=64).data[0].embedding) == 64
    with pytest.raises(openai.BadRequestError) as e:
        client.embeddings.create(model="m", input=[[1, 2, 3]])
    assert "check_embedding_ctx_length" in str(e.value) and e.value.param == "input"


def test_a_response_has_a_search_and_a_message_with_citations():
    r = client.responses.create(model="docs", input=QUESTION, include=["file_search_call.results"])
    assert r.status == "completed" and r.output_text.startswith(ANSWER)
    search, message = r.output
    assert search.type == "file_search_call" and search.queries == [QUESTION] and search.results[0].text
    note = message.content[0].annotations[0]
    assert note.type == "url_citation" and r.output_text[note.start_index:note.end_index] == "[1]" and note.url == PAGE
    bread = client.responses.create(model="docs", input="At how many degrees is the loaf baked and for how many minutes?")
    note = bread.output[1].content[0].annotations[0]
    assert note.type == "file_citation" and note.filename == "bread" and note.file_id


def test_a_response_follows_another_and_nobody_elses():
    first = client.responses.create(model="docs", input=QUESTION)
    second = client.responses.create(model="docs", input="How high is it?", previous_response_id=first.id)
    assert QUESTION in str(last_chat()["messages"]) and second.previous_response_id == first.id
    with pytest.raises(openai.NotFoundError) as e:
        OpenAI(base_url=BASE, api_key=SLOW_KEY, max_retries=0).responses.create(model="docs", input="Why?", previous_response_id=first.id)
    assert e.value.code == "previous_response_not_found"
    alone = client.responses.create(model="docs", input=QUESTION, store=False)
    with pytest.raises(openai.NotFoundError):
        client.responses.create(model="docs", input="Why?", previous_response_id=alone.id)


def test_a_streamed_response_has_its_events_in_order():
    kinds, text, last = [], "", None
    for e in client.responses.create(model="docs", input=QUESTION, stream=True):
        assert e.sequence_number == (last.sequence_number + 1 if last else 0)
        text += e.delta if e.type == "response.output_text.delta" else ""
        if not kinds or kinds[-1] != e.type:
            kinds.append(e.type)
        last = e
    assert kinds == ["response." + k for k in (
        "created", "in_progress", "output_item.added", "file_search_call.in_progress", "file_search_call.searching", "file_search_call.completed",
        "output_item.done", "output_item.added", "content_part.added", "output_text.delta", "output_text.annotation.added", "output_text.done",
        "content_part.done", "output_item.done", "completed")]
    assert last.response.output_text == text and last.response.output[1].content[0].annotations
    with client.responses.stream(model="docs", input=QUESTION) as s:
        for _ in s:
            pass
        assert s.get_final_response().output_text.startswith(ANSWER)


def test_errors_are_the_exceptions_that_clients_know():
    bad = OpenAI(base_url=BASE, api_key="fn_wrong", max_retries=0)
    with pytest.raises(openai.AuthenticationError) as e:
        bad.models.list()
    assert e.value.code == "invalid_api_key"
    with pytest.raises(openai.NotFoundError) as e:
        ask(model="gpt-9")
    assert e.value.code == "model_not_found" and e.value.param == "model" and "rag:<collection>" in e.value.message
    with pytest.raises(openai.BadRequestError) as e:
        ask(n=2)
    assert e.value.param == "n" and e.value.type == "invalid_request_error"
    with pytest.raises(openai.BadRequestError) as e:
        client.chat.completions.create(model="docs", messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}])
    assert e.value.param == "messages[0].content"
    with pytest.raises(openai.APIStatusError) as e:
        ask("x" * 1100000)
    assert e.value.status_code == 413


def test_a_limited_key_is_told_when_to_come_again_and_retries_get_through():
    slow = OpenAI(base_url=BASE, api_key=SLOW_KEY, max_retries=0)
    with pytest.raises(openai.RateLimitError) as e:
        for _ in range(70):
            slow.models.list()
    assert e.value.code == "rate_limit_exceeded" and int(e.value.response.headers["retry-after-ms"]) <= 2000
    assert OpenAI(base_url=BASE, api_key=SLOW_KEY, max_retries=4).models.list().data


def test_a_model_server_that_fails_is_a_status_that_is_tried_again_also_of_a_stream():
    question = "How is the lens of the lighthouse turned?"
    script({"route": "chat", "status": 500, "times": 2})  # the bus tries twice
    with pytest.raises(openai.InternalServerError) as e:
        ask(question, stream=True)
    assert e.value.status_code == 502 and e.value.code == "upstream_error"
    script({"route": "chat", "status": 500, "times": 2})
    retrying = OpenAI(base_url=BASE, api_key=CHAT_KEY, max_retries=5)
    assert retrying.chat.completions.create(model="docs", messages=[{"role": "user", "content": question}]).choices[0].message.content


def test_a_model_that_breaks_off_in_mid_stream_raises():
    script({"route": "chat", "error_after": 3, "text": "A clockwork motor turns the lens once in ninety seconds [1].", "times": 1})
    with pytest.raises(openai.APIError):
        for _ in ask("What turns the lens of the lighthouse, and how often?", stream=True):
            pass


def test_a_client_that_waits_no_longer_gets_its_timeout():
    script({"route": "chat", "delay_ms": 3000, "times": 1})
    with pytest.raises(openai.APITimeoutError):
        ask("How many steps may visitors climb?", timeout=0.5)


def test_a_request_that_is_sent_again_gets_the_stored_answer():
    kw = {"extra_headers": {"Idempotency-Key": f"client-{time.time()}"}}
    a, b = ask("What do tickets for the tower cost?", **kw), ask("What do tickets for the tower cost?", **kw)
    assert a.id == b.id and a.choices[0].message.content == b.choices[0].message.content
    stream = {"extra_headers": {"Idempotency-Key": f"stream-{time.time()}"}, "stream": True}
    first, again = ["".join(c.choices[0].delta.content or "" for c in ask("Are dogs admitted to the tower?", **stream)) for _ in range(2)]
    assert first and first == again
