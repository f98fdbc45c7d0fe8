"""LangChain's OpenAI classes, as they come from their registry."""
import asyncio

import openai
import pytest
from client_kit import ANSWER, BASE, CHAT_KEY, PAGE, QUESTION
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

chat = ChatOpenAI(model="docs", base_url=BASE, api_key=CHAT_KEY, temperature=0, max_retries=0)


def test_chat_answers_streams_and_takes_a_history():
    r = chat.invoke(QUESTION)
    assert r.content.startswith(ANSWER) and r.response_metadata["finish_reason"] == "stop" and r.usage_metadata["total_tokens"] >= 0
    assert "colza oil" in "".join(c.content for c in chat.stream("Which oil does the lamp burn?"))
    r = chat.invoke([SystemMessage("Be brief."), HumanMessage("Tell me of the lighthouse of Varnholm."), AIMessage("It stands at the sea."),
                     HumanMessage("Who built it?")])
    assert "Ingrid Solheim" in r.content


def test_responses_bring_citations():
    r = ChatOpenAI(model="docs", base_url=BASE, api_key=CHAT_KEY, use_responses_api=True, max_retries=0).invoke(QUESTION)
    notes = [n for part in r.content_blocks for n in part.get("annotations", [])]
    assert ANSWER in r.text and any(n.get("url") == PAGE for n in notes)


def test_a_stream_of_a_response_brings_them_too():
    whole = None
    for chunk in ChatOpenAI(model="docs", base_url=BASE, api_key=CHAT_KEY, use_responses_api=True, max_retries=0).stream(QUESTION):
        whole = chunk if whole is None else whole + chunk
    assert whole.text.startswith(ANSWER) and any(n.get("url") == PAGE for part in whole.content_blocks for n in part.get("annotations", []))


def test_it_answers_without_a_thread_of_its_own_and_tells_errors():
    async def both():
        return (await chat.ainvoke(QUESTION)).content, "".join([c.content async for c in chat.astream(QUESTION)])
    assert all(said.startswith(ANSWER) for said in asyncio.run(both()))
    with pytest.raises(openai.NotFoundError):
        ChatOpenAI(model="gpt-9", base_url=BASE, api_key=CHAT_KEY, max_retries=0).invoke(QUESTION)


def test_embeddings_of_many_texts_and_of_one():
    e = OpenAIEmbeddings(model="any", base_url=BASE, api_key=CHAT_KEY, check_embedding_ctx_length=False, max_retries=0)
    many = e.embed_documents([f"text {i} of the lighthouse" for i in range(300)])
    assert len(many) == 300 and len({len(v) for v in many}) == 1 and len(e.embed_query("lighthouse")) == len(many[0])
