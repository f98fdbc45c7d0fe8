// The AI SDK with its provider for OpenAI (responses and chat) and the one for servers like it, as they come from their registry.
import test from 'node:test';
import assert from 'node:assert/strict';
import { ANSWER, BASE, KEY, PAGE, QUESTION, load, script, text } from './node_kit.mjs';

const { embedMany, generateText, streamText } = await load('ai');
const { createOpenAI } = await load('@ai-sdk/openai');
const { createOpenAICompatible } = await load('@ai-sdk/openai-compatible');
const openai = createOpenAI({ baseURL: BASE, apiKey: KEY });
const compatible = createOpenAICompatible({ name: 'footnote', baseURL: BASE, apiKey: KEY });

test('responses: text and sources', async () => {
  const r = await generateText({ model: openai('docs'), prompt: QUESTION, maxRetries: 0 });
  assert.ok(r.text.startsWith(ANSWER));
  assert.ok(r.sources.some(s => s.url === PAGE), JSON.stringify(r.sources));
});
test('responses: a stream brings its sources', async () => {
  const r = streamText({ model: openai('docs'), prompt: QUESTION, maxRetries: 0 });
  assert.ok((await text(r.textStream)).startsWith(ANSWER));
  assert.ok((await r.sources).some(s => s.url === PAGE));
});
test('responses: a document without a page is a source, too', async () => {
  const r = await generateText({ model: openai('docs'), prompt: 'At how many degrees is the loaf baked and for how many minutes?', maxRetries: 0 });
  assert.ok(r.sources.length > 0, JSON.stringify(r.content));
});
test('chat: text and sources', async () => {
  const r = await generateText({ model: openai.chat('docs'), prompt: QUESTION, maxRetries: 0 });
  assert.ok(r.text.startsWith(ANSWER) && r.sources.some(s => s.url === PAGE), JSON.stringify(r.sources));
  const s = streamText({ model: openai.chat('docs'), prompt: QUESTION, maxRetries: 0 });
  assert.ok((await text(s.textStream)).startsWith(ANSWER) && (await s.sources).some(x => x.url === PAGE));
});
test('errors are told and passing ones are tried again', async () => {
  const wrong = createOpenAI({ baseURL: BASE, apiKey: 'fn_wrong' });
  await assert.rejects(generateText({ model: wrong('docs'), prompt: QUESTION, maxRetries: 0 }), e => e.statusCode === 401);
  await assert.rejects(generateText({ model: openai('gpt-9'), prompt: QUESTION, maxRetries: 0 }), e => e.statusCode === 404);
  await script({ route: 'chat', status: 500, times: 2 });
  assert.ok((await generateText({ model: openai.chat('docs'), prompt: 'How often does the keeper trim the wick?', maxRetries: 3 })).text.includes('[1]'));
  await script();
});
test('openai-compatible: text, stream and embeddings', async () => {
  const r = await generateText({ model: compatible('docs'), prompt: QUESTION, maxRetries: 0 });
  assert.ok(r.text.startsWith(ANSWER) && r.finishReason === 'stop');
  assert.ok((await text(streamText({ model: compatible('docs'), prompt: QUESTION, maxRetries: 0 }).textStream)).includes('[1]'));
  const e = await embedMany({ model: compatible.textEmbeddingModel('any'), values: ['oil', 'bread'] });
  assert.equal(e.embeddings.length, 2);
});
