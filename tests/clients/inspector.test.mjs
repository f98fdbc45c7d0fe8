// The command line of the MCP inspector, as it comes from its registry: what it prints is what it understood of a server.
// Its releases from 2 on want a Node that Debian has not; this is the last one before.
import test from 'node:test';
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { ANSWER, KEY, PAGE, QUESTION, URL_ } from './node_kit.mjs';

const cli = process.env.FOOTNOTE_NODE + '/node_modules/@modelcontextprotocol/inspector-cli/build/cli.js';
async function inspect(method, more = [], key = KEY) {
  const args = [cli, '--cli', URL_ + '/mcp', '--transport', 'http', '--method', method, '--header', 'Authorization: Bearer ' + key, ...more];
  return JSON.parse((await promisify(execFile)(process.execPath, args, { timeout: 120000 })).stdout);
}
const call = (tool, ...args) => inspect('tools/call', ['--tool-name', tool, ...args.flatMap(a => ['--tool-arg', a])]);

test('tools are listed with what they take', async () => {
  const { tools } = await inspect('tools/list');
  assert.deepEqual(tools.map(t => t.name).sort(), ['ask', 'fetch', 'search']);
  assert.ok(tools.every(t => t.description && t.inputSchema.type === 'object' && t.inputSchema.required.length > 0));
});
test('search, fetch and ask answer with citations', async () => {
  const { results } = (await call('search', 'query=' + QUESTION)).structuredContent;
  assert.equal(results[0].url, PAGE);
  const read = (await call('fetch', 'id=' + results[0].id)).structuredContent;
  assert.ok(read.text.includes('granite') && read.url === PAGE);
  const said = await call('ask', 'question=' + QUESTION);
  assert.ok(said.content[0].text.startsWith(ANSWER) && said.content[0].text.includes(PAGE) && said.structuredContent.sources[0].url === PAGE);
  assert.ok((await call('fetch', 'id=nothing')).isError);
});
test('resources and their templates', async () => {
  const { resources } = await inspect('resources/list');
  const read = await inspect('resources/read', ['--uri', resources[0].uri]);
  assert.ok(read.contents[0].text.length > 0 && read.contents[0].uri === resources[0].uri);
  assert.equal((await inspect('resources/templates/list')).resourceTemplates[0].uriTemplate, 'footnote://documents/{id}');
});
test('a wrong key and an unknown tool are told as they are', async () => {
  await assert.rejects(inspect('tools/list', [], 'fn_wrong'), e => /401|key/i.test(e.stderr));
  await assert.rejects(call('nope', 'x=1'), e => /nope|unknown|not found/i.test(e.stderr));
});
