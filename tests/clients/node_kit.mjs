// What the tests of the Node clients share. Modules are found in FOOTNOTE_NODE, where install.sh put them.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

export const { FOOTNOTE_URL: URL_, FOOTNOTE_CHAT_KEY: KEY, STUB_URL: STUB } = process.env;
export const BASE = URL_ + '/v1';
export const QUESTION = 'Who built the lighthouse of Varnholm and when?';
export const ANSWER = 'The lighthouse of Varnholm was built in 1843 by the engineer Ingrid Solheim.';
export const PAGE = 'https://docs.example.org/lighthouse';

const require_ = createRequire(process.env.FOOTNOTE_NODE + '/package.json');
export const load = name => import(pathToFileURL(require_.resolve(name)).href);

export async function script(...rules) {
  const r = await fetch(STUB + '/_stub/script', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(rules) });
  assert.equal(r.status, 200);
}
export const text = async stream => { let all = ''; for await (const piece of stream) all += piece; return all; };
