// The official OpenAI client for Node, as it comes from its registry.
import test from 'node:test';
import assert from 'node:assert/strict';
import { ANSWER, BASE, KEY, PAGE, QUESTION, load, script } from './node_kit.mjs';

const { OpenAI } = await load('openai');
const client = new OpenAI({ baseURL: BASE, apiKey: KEY, maxRetries: 0 });
const ask = (content, more = {}) => client.chat.completions.create({ model: 'docs', messages: [{ role: 'user', content }], ...more });

test('a completion has the answer and its citations', async () => {
  const said = (await ask(QUESTION)).choices[0].message;
  const note = said.annotations[0].url_citation;
  assert.ok(said.content.startsWith(ANSWER));
  assert.equal(note.url, PAGE);
  assert.equal(said.content.slice(note.start_index, note.end_index), '[1]');
});
test('a stream says the same', async () => {
  let all = '', usage, finish;
  const notes = [];
  for await (const chunk of await ask('Which oil does the lamp burn?', { stream: true, stream_options: { include_usage: true } })) {
    all += chunk.choices[0]?.delta?.content ?? '';
    notes.push(...chunk.choices[0]?.delta?.annotations ?? []);
    finish = chunk.choices[0]?.finish_reason ?? finish;
    usage = chunk.usage ?? usage;
  }
  assert.ok(all.includes('[1]') && finish === 'stop' && usage.total_tokens > 0);
  const { start_index, end_index, url } = notes[0].url_citation;
  assert.ok(url === PAGE && all.slice(start_index, end_index) === '[1]');
});
test('a response and what follows it', async () => {
  const first = await client.responses.create({ model: 'docs', input: QUESTION });
  assert.ok(first.output_text.startsWith(ANSWER));
  assert.equal(first.output[1].content[0].annotations[0].url, PAGE);
  const kinds = [];
  for await (const e of await client.responses.create({ model: 'docs', input: 'How high is it?', previous_response_id: first.id, stream: true })) kinds.push(e.type);
  assert.equal(kinds[0], 'response.created');
  assert.ok(kinds.includes('response.output_text.annotation.added'));
  assert.equal(kinds.at(-1), 'response.completed');
});
test('embeddings with the default encoding', async () => {
  const r = await client.embeddings.create({ model: 'any', input: ['oil', 'bread'] });
  const size = r.data[0].embedding.reduce((sum, x) => sum + x * x, 0);
  assert.ok(r.data.length === 2 && r.data[0].embedding.length > 100 && Math.abs(size - 1) < 1e-4);
});
test('models', async () => {
  const ids = [];
  for await (const m of client.models.list()) ids.push(m.id);
  assert.ok(['docs', 'raw', 'rag:docs'].every(id => ids.includes(id)));
  assert.equal((await client.models.retrieve('rag:docs')).id, 'rag:docs');
});
test('errors, retries and timeouts', async () => {
  await assert.rejects(new OpenAI({ baseURL: BASE, apiKey: 'fn_wrong', maxRetries: 0 }).models.list(), e => e.status === 401 && e.code === 'invalid_api_key');
  await assert.rejects(ask(QUESTION, { model: 'gpt-9' }), e => e.status === 404 && e.code === 'model_not_found' && e.param === 'model');
  await assert.rejects(ask(QUESTION, { n: 2 }), e => e.status === 400 && e.param === 'n');
  await script({ route: 'chat', status: 500, times: 2 });
  const again = new OpenAI({ baseURL: BASE, apiKey: KEY, maxRetries: 5 });
  assert.ok((await again.chat.completions.create({ model: 'docs', messages: [{ role: 'user', content: 'What must be wound up each evening?' }] })).choices[0].message.content);
  await script({ route: 'chat', delay_ms: 3000, times: 1 });
  await assert.rejects(client.chat.completions.create({ model: 'docs', messages: [{ role: 'user', content: 'How many steps may visitors climb?' }] }, { timeout: 500 }),
    e => e.constructor.name === 'APIConnectionTimeoutError');
  await script();
});
