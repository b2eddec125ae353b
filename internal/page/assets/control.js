// SPDX-License-Identifier: Apache-2.0

// What changes something: it takes the token of the API, which stays in this tab.

import { change, pathOf } from './api.js';
import { byID, el } from './dom.js';

const key = 'netprobe-token';

// ask opens a dialog for the token, carries out what is asked, and shows the answer.
function ask(title, what, button, work) {
  const dialog = byID('dialog');
  const before = document.activeElement;
  const token = el('input', { type: 'password', id: 'token', autocomplete: 'off', spellcheck: 'false' });
  token.value = sessionStorage.getItem(key) ?? '';
  const answer = el('div', { class: 'answer', role: 'status' });
  const go = el('button', { type: 'submit', id: 'go' }, button);
  const form = el('form', { onsubmit: (e) => { e.preventDefault(); run(); } },
    el('h1', { id: 'dialog-title' }, title), el('p', {}, what),
    el('label', {}, 'Token of the API (api.token or api.token_file); it is kept in this tab only', token),
    el('div', { class: 'bar' }, go, el('button', { type: 'button', onclick: () => dialog.close() }, 'Close')), answer);
  async function run() {
    go.disabled = true;
    answer.replaceChildren('…');
    try {
      answer.replaceChildren(...await work(token.value));
      sessionStorage.setItem(key, token.value);
    } catch (e) {
      if (e.status === 401) sessionStorage.removeItem(key);
      answer.replaceChildren(el('p', { class: 'bad' }, `✖ ${e.status ? e.status + ': ' : ''}${e.message}`),
        el('ul', {}, (e.errors ?? []).map((f) => el('li', {}, el('b', {}, f.field), ': ' + f.detail))));
    }
    go.disabled = false;
  }
  dialog.replaceChildren(form);
  dialog.onclose = () => { dialog.replaceChildren(); before?.focus?.(); };
  dialog.showModal();
  token.focus();
}

// askReload loads the configuration again.
export function askReload(done) {
  ask('Reload the configuration', 'The daemon reads its files again. With a fault in them nothing changes.', 'Reload', async (token) => {
    const r = await change('/reload', token);
    done();
    const part = (title, names) => [el('h2', {}, `${title}: ${names.length}`), el('ul', {}, names.slice(0, 200).map((n) => el('li', {}, n)), names.length > 200 ? el('li', {}, `and ${names.length - 200} more`) : null)];
    const failed = (r.failed ?? []).map((f) => `${f.field}: ${f.detail}`);
    return [el('p', { class: failed.length ? 'bad' : 'good' }, failed.length ? '✖ Reloaded, but not all of it' : '● Reloaded'),
      ...[['Enabled', r.enabled ?? []], ['Updated', r.updated ?? []], ['Disabled', r.disabled ?? []], ['Failed', failed]].flatMap(([t, names]) => names.length ? part(t, names) : []),
      el('p', {}, `Unchanged: ${r.unchanged}`)];
  });
}

// askPause pauses a target, or resumes it.
export function askPause(target, done) {
  const verb = target.paused ? 'Resume' : 'Pause';
  ask(`${verb} ${target.name}`, target.paused ? 'Probing goes on.' : 'Nothing is sent to it until it is resumed.', verb, async (token) => {
    await change(pathOf(target.name) + (target.paused ? '/resume' : '/pause'), token, target.paused ? undefined : { owner: 'page' });
    done();
    return [el('p', { class: 'good' }, target.paused ? '● Resumed' : '● Paused')];
  });
}
