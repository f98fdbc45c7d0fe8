"""The official MCP client for Python, as it comes from its registry."""
import asyncio

import httpx2
import pytest
from client_kit import ANSWER, CHAT_KEY, PAGE, QUESTION, URL
from mcp import Client
from mcp.client.streamable_http import streamable_http_client


def with_client(use, key=CHAT_KEY, statuses=None):
    async def note(response):
        (statuses if statuses is not None else []).append(response.status_code)

    async def main():
        async with httpx2.AsyncClient(headers={"Authorization": "Bearer " + key}, timeout=30, event_hooks={"response": [note]}) as http:
            async with Client(streamable_http_client(URL + "/mcp", http_client=http)) as c:
                return await use(c)
    return asyncio.run(main())


def test_the_tools_are_there_with_their_arguments():
    async def use(c):
        assert c.protocol_version == "2025-11-25" and c.server_info.name == "footnote"
        tools = {t.name: t for t in (await c.list_tools()).tools}
        assert set(tools) == {"search", "fetch", "ask"} and tools["search"].input_schema["required"] == ["query"]
        await c.send_ping()
    with_client(use)


def test_search_finds_what_fetch_reads():
    async def use(c):
        found = (await c.call_tool("search", {"query": QUESTION})).structured_content["results"]
        assert found[0]["url"] == PAGE and {"id", "title", "url"} <= set(found[0])
        read = await c.call_tool("fetch", {"id": found[0]["id"]})
        doc = read.structured_content
        assert not read.is_error and doc["url"] == PAGE and "granite from the quarry at Brekke" in doc["text"] and {"id", "title", "metadata"} <= set(doc)
        missing = await c.call_tool("fetch", {"id": "nothing"})
        assert missing.is_error and "no such document" in missing.content[0].text
    with_client(use)


def test_ask_answers_with_sources():
    async def use(c):
        r = await c.call_tool("ask", {"question": QUESTION})
        assert not r.is_error and r.content[0].text.startswith(ANSWER) and PAGE in r.content[0].text
        assert r.structured_content["grounded"] and r.structured_content["sources"][0]["url"] == PAGE
        wrong = await c.call_tool("ask", {"question": ""})
        assert wrong.is_error and "question" in wrong.content[0].text
        other = await c.call_tool("ask", {"question": QUESTION, "collection": "nowhere"})
        assert other.is_error and other.content[0].text == "there is no such collection"
        unknown = await c.call_tool("ask", {"question": QUESTION, "language": "en"})
        assert unknown.is_error and unknown.content[0].text.startswith("language is no argument of ask")
    with_client(use)


def test_documents_are_resources():
    async def use(c):
        listed = (await c.list_resources()).resources
        assert {r.name for r in listed} >= {"lighthouse", "bread", "pump"}
        pump = next(r for r in listed if r.name == "pump")
        text = (await c.read_resource(pump.uri)).contents[0].text
        assert "glycol" in text
        assert (await c.list_resource_templates()).resource_templates[0].uri_template == "footnote://documents/{id}"
    with_client(use)


def test_a_wrong_key_opens_nothing():
    """The client says only that the server's answer was an error: the statuses are read where they come in."""
    async def use(c):
        await c.list_tools()
    right, wrong = [], []
    with_client(use, statuses=right)
    with pytest.raises(BaseException, match="TaskGroup|error response"):
        with_client(use, "fn_wrong", statuses=wrong)
    assert 401 not in right and wrong and set(wrong) == {401}, (right, wrong)
