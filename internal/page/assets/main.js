// SPDX-License-Identifier: Apache-2.0

import { get, last } from './api.js';
import { askReload } from './control.js';
import { byID, count, el, percent, several, span, total, trip } from './dom.js';
import { problems } from './judge.js';
import { Overview } from './overview.js';
import { TargetView } from './target.js';

let view = null;
let status = null;
let timer = 0;
let busy = false;

// every is how often the page asks, in ms: once a round, but not all the time.
const every = () => Math.min(10000, Math.max(2000, (status?.interval_seconds ?? 5) * 1000));

function route() {
  const at = /^#\/target\/(.+)$/.exec(location.hash);
  let name = null;
  try {
    name = at && decodeURIComponent(at[1]);
  } catch {
    name = null;
  }
  view?.close();
  view = name === null ? new Overview(byID('main')) : new TargetView(byID('main'), name, refresh);
  refresh();
}

// refresh asks for everything that is shown, one time at once.
async function refresh() {
  if (busy) return;
  busy = true;
  clearTimeout(timer);
  const shown = view;
  try {
    status = await get('/status');
    showHealth();
    await shown.update(status);
  } catch (e) {
    if (e.status === undefined) console.error(e);
    shown.failed(e);
  }
  busy = false;
  showAge();
  if (shown !== view) refresh();
  else if (!document.hidden) timer = setTimeout(refresh, every());
}

function showHealth() {
  const facts = [
    ['targets', count(status.targets) + (status.paused ? `, ${count(status.paused)} paused` : '')],
    ['rate', `${count(Math.round(status.planned_pps))}/s of ${count(status.max_pps)}/s allowed`],
    ['sent', count(status.sent)],
    ['lost', `${count(status.lost)} (${percent(status.sent ? status.lost / status.sent : null)})`],
    ['not sent', count(total(status.not_sent))],
    ['unknown', count(total(status.unknown))],
  ];
  for (const i of status.interfaces ?? []) facts.push([i.name, `${i.xdp_mode}, ${i.bind}, ${several((i.queues ?? []).length, 'queue')}, lag ${trip(i.schedule_lag_seconds)}`]);
  const wrong = problems(status);
  byID('health').replaceChildren(
    wrong.length === 0 ? el('b', { class: 'good' }, '● probe ok') : '',
    ...wrong.map((p) => el('b', { class: p.kind }, p.text)),
    ...facts.map(([k, v]) => el('span', {}, el('span', { class: 'dim' }, k + ' '), v)),
  );
  const h = status.history;
  const kept = (h?.resolution_steps ?? []).map((s) => `${span(s.step_seconds)} for ${span(s.kept_seconds)}`).join(', ');
  byID('footer').textContent = kept
    ? `The past is kept in the daemon's memory only and ends with it: steps of ${kept}; ${(h.memory_bytes / 1048576).toFixed(1)} of ${(h.max_memory_bytes / 1048576).toFixed(0)} MiB are in use.`
    : 'No past is kept (history.memory is 0, or too small for so many targets).';
}

// showAge says when what is shown is old.
function showAge() {
  const stale = byID('stale');
  stale.hidden = last.failed === null;
  document.documentElement.toggleAttribute('data-stale', last.failed !== null);
  if (last.failed !== null) {
    const age = last.answered === null ? 'there are no figures yet' : `the figures below are ${span((Date.now() - last.answered) / 1000)} old`;
    const text = `✖ The daemon cannot be reached; ${age}. Trying again.`;
    if (stale.textContent !== text) stale.textContent = text;
  }
}

function themed(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
  view?.redraw?.();
}

byID('theme').addEventListener('click', () => {
  const dark = document.documentElement.dataset.theme ? document.documentElement.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
  const next = dark ? 'light' : 'dark';
  localStorage.setItem('netprobe-theme', next);
  themed(next);
});
byID('reload').addEventListener('click', () => askReload(refresh));
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => view?.redraw?.());
document.addEventListener('visibilitychange', () => { if (!document.hidden) refresh(); });
document.addEventListener('keydown', (e) => {
  if (e.ctrlKey || e.metaKey || e.altKey || byID('dialog').open) return;
  const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(e.target.tagName);
  if (e.key === '/' && !typing) {
    e.preventDefault();
    if (view instanceof Overview) view.find();
    else location.hash = '#/';
  } else if (e.key === 'Escape') {
    if (view instanceof Overview) view.escape();
    else location.hash = '#/';
  } else if (!typing || e.key === 'ArrowDown') {
    view?.key?.(e);
  }
});
addEventListener('hashchange', route);
setInterval(showAge, 1000);
themed(localStorage.getItem('netprobe-theme'));
get('/info').then((info) => {
  byID('probe').textContent = `${info.probe_name} · ${info.version}`;
  document.title = `${info.probe_name} · netprobe-xdp`;
}, () => {});
route();
