// The official MCP client for TypeScript, as it comes from its registry.
import test from 'node:test';
import assert from 'node:assert/strict';
import { ANSWER, KEY, PAGE, QUESTION, URL_, load } from './node_kit.mjs';

const { Client } = await load('@modelcontextprotocol/sdk/client/index.js');
const { StreamableHTTPClientTransport } = await load('@modelcontextprotocol/sdk/client/streamableHttp.js');

async function connected(key = KEY) {
  const client = new Client({ name: 'test', version: '1' });
  await client.connect(new StreamableHTTPClientTransport(new URL(URL_ + '/mcp'), { requestInit: { headers: { Authorization: 'Bearer ' + key } } }));
  return client;
}

test('tools and resources', async () => {
  const c = await connected();
  assert.deepEqual((await c.listTools()).tools.map(t => t.name).sort(), ['ask', 'fetch', 'search']);
  const found = await c.callTool({ name: 'search', arguments: { query: QUESTION } });
  const { results } = JSON.parse(found.content[0].text);
  assert.equal(results[0].url, PAGE);
  const doc = JSON.parse((await c.callTool({ name: 'fetch', arguments: { id: results[0].id } })).content[0].text);
  assert.ok(doc.text.includes('granite') && doc.title && doc.url === PAGE && doc.id === results[0].id);
  const said = await c.callTool({ name: 'ask', arguments: { question: QUESTION } });
  assert.ok(said.content[0].text.startsWith(ANSWER) && said.structuredContent.grounded);
  const { resources } = await c.listResources();
  assert.ok((await c.readResource({ uri: resources[0].uri })).contents[0].text.length > 0);
  await c.ping();
  const unknown = await c.callTool({ name: 'search', arguments: { query: QUESTION, limit: 3 } });
  assert.ok(unknown.isError && unknown.content[0].text.startsWith('limit is no argument of search'));
  await assert.rejects(c.callTool({ name: 'nope', arguments: {} }), e => e.code === -32602);
  await assert.rejects(c.listResources({ cursor: 'none of ours' }), e => e.code === -32602);
  await assert.rejects(c.readResource({ uri: 'footnote://documents/nothing' }), e => e.code === -32002);
  await c.close();
});
test('a wrong key opens nothing', async () => {
  await (await connected()).close();
  await assert.rejects(connected('fn_wrong'), e => e.code === 401 || /\b401\b|[Uu]nauthorized/.test(e.message));
});
