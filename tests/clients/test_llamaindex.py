"""LlamaIndex's class for servers like OpenAI's, as it comes from its registry."""
import asyncio

import openai
import pytest
from client_kit import ANSWER, BASE, CHAT_KEY, PAGE, QUESTION
from llama_index.core.llms import ChatMessage
from llama_index.llms.openai_like import OpenAILike

llm = OpenAILike(model="docs", api_base=BASE, api_key=CHAT_KEY, is_chat_model=True, max_retries=0, context_window=8192)


def test_chat_complete_and_stream():
    r = llm.chat([ChatMessage(role="user", content=QUESTION)])
    assert r.message.content.startswith(ANSWER)
    assert r.raw.choices[0].message.annotations[0].url_citation.url == PAGE
    assert llm.complete(QUESTION).text.startswith(ANSWER)
    assert "colza oil" in "".join(c.delta for c in llm.stream_chat([ChatMessage(role="user", content="Which oil does the lamp burn?")]))
    assert "".join(c.delta for c in llm.stream_complete(QUESTION)).startswith(ANSWER)


def test_a_history_is_told_and_errors_are_raised():
    turns = [("system", "Be brief."), ("user", "Tell me of the lighthouse of Varnholm."), ("assistant", "It stands at the sea."), ("user", "Who built it?")]
    said = asyncio.run(llm.achat([ChatMessage(role=role, content=text) for role, text in turns]))
    assert "Ingrid Solheim" in said.message.content
    with pytest.raises(openai.AuthenticationError):
        OpenAILike(model="docs", api_base=BASE, api_key="fn_wrong", is_chat_model=True, max_retries=0).complete(QUESTION)
