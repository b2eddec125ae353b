// SPDX-License-Identifier: Apache-2.0

// What the page asks of the daemon, and how it fares.

export class Problem extends Error {
  constructor(status, detail, errors) {
    super(detail);
    this.status = status;
    this.errors = errors ?? [];
  }
}

// last is when the daemon answered last.
export const last = { answered: null, failed: null };

export async function get(path) { return ask('GET', path); }

// change asks for something that needs the token.
export async function change(path, token, body) { return ask('POST', path, token, body); }

async function ask(method, path, token, body) {
  const options = { method, headers: { Accept: 'application/json' }, cache: 'no-store', credentials: 'same-origin', signal: AbortSignal.timeout(method === 'GET' ? 10000 : 60000) };
  if (token !== undefined) options.headers['Netprobe-Xdp-Token'] = token;
  if (body !== undefined) {
    options.headers['Content-Type'] = 'application/json';
    options.body = JSON.stringify(body);
  }
  let answer;
  try {
    answer = await fetch('/api/v1' + path, options);
  } catch (e) {
    if (method === 'GET') last.failed ??= new Date();
    throw new Problem(0, e.name === 'TimeoutError' ? 'the daemon did not answer in time' : 'the daemon cannot be reached');
  }
  last.answered = new Date();
  last.failed = null;
  const text = await answer.text();
  let value = null;
  try {
    value = text === '' ? null : JSON.parse(text);
  } catch {
    value = null;
  }
  if (!answer.ok) throw new Problem(answer.status, value?.detail ?? value?.title ?? (text.slice(0, 300) || answer.statusText), value?.errors);
  return value;
}

export const pathOf = (name) => '/targets/' + encodeURIComponent(name);
