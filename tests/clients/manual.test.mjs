// docs/clients.md is true: its JavaScript runs as it stands there, its settings are what those programs take.
import test from 'node:test';
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { ANSWER, KEY, PAGE, QUESTION, URL_, load } from './node_kit.mjs';

const MODULES = process.env.FOOTNOTE_NODE;
const manual = await readFile(new URL('../../docs/clients.md', import.meta.url), 'utf8');
// the blocks below a heading, with the address, the key and the question filled in
function blocks(heading, language) {
  const part = manual.split(/^## /m).find(p => p.startsWith(heading + '\n'));
  const found = [...part.matchAll(new RegExp('^```' + language + '\n(.*?)^```', 'gms'))].map(m => m[1]);
  assert.ok(found.length, heading);
  return found.map(b => b.replaceAll('https://answers.example.org', URL_).replaceAll('fn_…', KEY).replaceAll('How are backups made?', QUESTION));
}

test('its JavaScript prints the answer and where it comes from', async () => {
  for (const block of blocks('AI SDK', 'js')) {
    const file = MODULES + `/manual-${process.pid}.mjs`;
    try {
      await writeFile(file, block);
      const { stdout } = await promisify(execFile)(process.execPath, [file], { timeout: 120000 });
      assert.ok(stdout.startsWith(ANSWER) && stdout.includes(PAGE), stdout);
    } finally { await rm(file); }
  }
});
test('LibreChat takes its settings', async () => {
  const { configSchema, endpointSchema } = await load('librechat-data-provider');
  const { default: yaml } = await load('js-yaml');
  const told = yaml.load(blocks('LibreChat', 'yaml')[0]);
  const read = configSchema.strict().safeParse(told);
  assert.ok(read.success, JSON.stringify(read.error));
  assert.deepEqual(read.data.endpoints.custom[0].models, { default: ['docs'], fetch: true });
  const [custom] = told.endpoints.custom;
  assert.deepEqual(Object.keys(custom).filter(key => !(key in endpointSchema.shape)), []);
  assert.ok(endpointSchema.safeParse(custom).success && !endpointSchema.safeParse({ ...custom, models: ['docs'] }).success);
});
test('the program that Claude Desktop starts leads to the tools', async () => {
  const { Client } = await load('@modelcontextprotocol/sdk/client/index.js');
  const { StdioClientTransport } = await load('@modelcontextprotocol/sdk/client/stdio.js');
  const { command, args: [yes, name, ...args], env } = JSON.parse(blocks('MCP', 'json')[0]).mcpServers.footnote;
  assert.deepEqual([command, yes, name], ['npx', '-y', 'mcp-remote']);
  const client = new Client({ name: 'test', version: '1' });
  await client.connect(new StdioClientTransport({ command: process.execPath, args: [`${MODULES}/node_modules/mcp-remote/dist/proxy.js`, ...args],
    env: { ...env, PATH: process.env.PATH, HOME: MODULES, NO_PROXY: '127.0.0.1' }, stderr: 'ignore' }), { timeout: 120000 });
  const said = await client.callTool({ name: 'ask', arguments: { question: QUESTION } });
  assert.ok(said.content[0].text.startsWith(ANSWER) && said.content[0].text.includes(PAGE));
  await client.close();
});
test('an editor finds the address and the key', async () => {
  const { type, url, headers } = JSON.parse(blocks('MCP', 'json')[1]).servers.footnote;
  assert.equal(type, 'http');
  const { Client } = await load('@modelcontextprotocol/sdk/client/index.js');
  const { StreamableHTTPClientTransport } = await load('@modelcontextprotocol/sdk/client/streamableHttp.js');
  const client = new Client({ name: 'test', version: '1' });
  await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } }));
  assert.ok((await client.listTools()).tools.length > 0);
  await client.close();
});
