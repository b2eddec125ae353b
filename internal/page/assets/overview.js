// SPDX-License-Identifier: Apache-2.0

import { get } from './api.js';
import { count, el, percent, trip } from './dom.js';
import { at, state, worstOf } from './judge.js';

const rowHeight = 32; // px, as in page.css
const block = 100; // targets that are asked for at once
const kept = { filter: '', group: '', family: '', source: '', sort: 'worst', top: 0 }; // for who comes back
const seen = { group: new Set(), source: new Set() };

// Overview is the list of all targets. Of them only those in sight are elements, and
// only those near are asked for.
export class Overview {
  constructor(main) {
    this.blocks = new Map();
    this.rows = new Map();
    this.total = 0;
    this.asked = 0;
    this.filter = el('input', { type: 'search', placeholder: 'Filter: name, address, label…  ( / )', 'aria-label': 'Filter targets', value: kept.filter, oninput: () => this.soon() });
    const choice = (key, label, values) => el('select', { 'aria-label': label, onchange: (e) => { kept[key] = e.target.value; this.anew(); } },
      el('option', { value: '' }, label + ': all'), ...values.map((v) => el('option', { value: v, selected: v === kept[key] }, v)));
    this.family = choice('family', 'Family', ['ipv4', 'ipv6']);
    this.group = choice('group', 'Group', [...seen.group]);
    this.source = choice('source', 'Source', [...seen.source]);
    this.summary = el('span', { class: 'dim', role: 'status' });
    const sort = (key, text, cls = '') => el('span', { class: cls, role: 'columnheader' }, el('button', { type: 'button', 'data-sort': key, onclick: () => { kept.sort = key; this.anew(); } }, text));
    this.head = el('div', { class: 'cols head', role: 'row' }, sort('worst', 'State'), sort('name', 'Target'), sort('loss', 'Loss, last round'),
      el('span', { class: 'more', role: 'columnheader' }, 'Group'), sort('round_trip', 'Median', 'num'), el('span', { class: 'num more', role: 'columnheader' }, 'p95'),
      el('span', { class: 'num more', role: 'columnheader' }, 'Loss, all'), el('span', { class: 'more', role: 'columnheader' }, 'Address'));
    this.space = el('div');
    this.window = el('div', { class: 'window', role: 'rowgroup', onscroll: () => this.scrolled() }, this.space);
    main.replaceChildren(el('div', { class: 'bar' }, this.filter, this.family, this.group, this.source, this.summary),
      el('div', { class: 'list', role: 'table', 'aria-label': 'Targets' }, this.head, this.window));
    this.start = kept.top;
    this.mark();
    this.resized = () => this.draw();
    addEventListener('resize', this.resized);
  }

  close() {
    removeEventListener('resize', this.resized);
    clearTimeout(this.wait);
  }

  mark() {
    for (const b of this.head.querySelectorAll('button')) b.setAttribute('aria-pressed', b.dataset.sort === kept.sort);
  }

  soon() {
    clearTimeout(this.wait);
    this.wait = setTimeout(() => { kept.filter = this.filter.value; this.anew(); }, 120);
  }

  // anew asks for another list.
  anew() {
    this.mark();
    this.window.scrollTop = 0;
    this.load([0], true);
  }

  async update() {
    await this.load(this.near(), true);
    if (this.start > 0) { // where one came from
      this.window.scrollTop = this.start;
      this.start = 0;
      this.draw();
    }
  }

  near() {
    const first = Math.floor(Math.max(0, this.window.scrollTop - rowHeight * 10) / rowHeight / block);
    const end = Math.floor((this.window.scrollTop + this.window.clientHeight + rowHeight * 10) / rowHeight / block);
    return Array.from({ length: end - first + 1 }, (_, i) => first + i);
  }

  async load(numbers, replace) {
    const turn = replace ? ++this.asked : this.asked;
    const query = (offset) => {
      const q = new URLSearchParams({ sort: kept.sort, limit: block, offset });
      for (const key of ['filter', 'group', 'family', 'source']) if (kept[key] !== '') q.set(key, kept[key]);
      return '/targets?' + q;
    };
    let answers;
    try {
      answers = await Promise.all(numbers.map((n) => get(query(n * block))));
    } catch (e) {
      if (turn === this.asked) this.failed(e);
      if (replace) throw e;
      return;
    }
    if (turn !== this.asked) return; // something else was asked for meanwhile
    if (replace) this.blocks.clear();
    numbers.forEach((n, i) => this.blocks.set(n, answers[i].targets ?? []));
    this.total = answers[0].total;
    this.learn();
    this.draw();
  }

  // learn adds groups and sources that were not seen before to what can be chosen.
  learn() {
    const add = (key, select, value) => {
      if (!value || seen[key].has(value)) return;
      seen[key].add(value);
      select.append(el('option', { value }, value));
    };
    for (const targets of this.blocks.values()) {
      for (const t of targets) {
        add('source', this.source, t.source);
        for (const g of t.groups ?? []) add('group', this.group, g.group);
      }
    }
  }

  failed(e) {
    if (this.total === 0) this.space.replaceChildren(el('p', { class: 'empty' }, e.message));
  }

  scrolled() {
    kept.top = this.window.scrollTop;
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.draw();
      const missing = this.near().filter((n) => !this.blocks.has(n) && n * block < this.total);
      if (missing.length > 0) {
        clearTimeout(this.later);
        this.later = setTimeout(() => this.load(missing, false), 40);
      }
    });
  }

  // draw makes the rows in sight, and leaves those that are the same.
  draw() {
    const active = document.activeElement?.dataset?.at;
    this.summary.textContent = `${count(this.total)} target${this.total === 1 ? '' : 's'}, ${{ worst: 'worst first', name: 'by name', loss: 'by loss', round_trip: 'by round trip' }[kept.sort]}`;
    this.space.style.height = Math.max(1, this.total) * rowHeight + 'px';
    if (this.total === 0) {
      this.rows.clear();
      this.space.replaceChildren(el('p', { class: 'empty' }, 'No target fits.'));
      return;
    }
    const first = Math.max(0, Math.floor(this.window.scrollTop / rowHeight) - 8);
    const end = Math.min(this.total, Math.ceil((this.window.scrollTop + this.window.clientHeight) / rowHeight) + 8);
    const rows = [];
    for (let i = first; i < end; i++) {
      const t = this.blocks.get(Math.floor(i / block))?.[i % block];
      const row = t ? this.row(t) : el('div', { class: 'row cols' }, el('span', { class: 'dim' }, '…'));
      row.dataset.at = i;
      row.style.top = i * rowHeight + 'px';
      rows.push(row);
    }
    this.space.replaceChildren(...rows);
    if (active !== undefined) this.space.querySelector(`[data-at="${Number(active)}"]`)?.focus({ preventScroll: true });
  }

  row(t) {
    const s = state(t);
    const g = worstOf(t);
    const loss = g?.round?.loss_ratio;
    const bar = el('b');
    bar.style.width = (loss ?? 0) * 100 + '%';
    const sent = (t.groups ?? []).reduce((n, x) => n + x.sent, 0);
    const lost = (t.groups ?? []).reduce((n, x) => n + x.lost, 0);
    return el('a', { class: 'row cols', role: 'row', href: '#/target/' + encodeURIComponent(t.name), title: `${t.name}: ${s.word}` },
      el('span', { class: s.kind, role: 'cell' }, `${s.mark} ${s.word}`),
      el('span', { class: 'name', role: 'cell' }, t.name),
      el('span', { class: 'loss', role: 'cell' }, el('i', { 'aria-hidden': 'true' }, bar), el('span', {}, percent(loss))),
      el('span', { class: 'more', role: 'cell' }, g?.group ?? '–'),
      el('span', { class: 'num', role: 'cell' }, trip(at(g?.round, '50'))),
      el('span', { class: 'num more', role: 'cell' }, trip(at(g?.round, '95'))),
      el('span', { class: 'num more', role: 'cell' }, percent(sent ? lost / sent : null)),
      el('span', { class: 'more dim', role: 'cell' }, `${t.address ?? t.destination}${t.dst_port ? ' :' + t.dst_port : ''}`));
  }

  find() {
    this.filter.focus();
    this.filter.select();
  }

  escape() {
    if (this.filter.value !== '') {
      this.filter.value = '';
      kept.filter = '';
      this.anew();
    }
    this.filter.blur();
  }

  // key moves from row to row.
  key(e) {
    const by = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10 }[e.key];
    if (!by) return;
    const from = document.activeElement?.dataset?.at;
    if (from === undefined && by < 0) return;
    e.preventDefault();
    const to = from === undefined ? Math.ceil(this.window.scrollTop / rowHeight) : Math.max(0, Math.min(this.total - 1, Number(from) + by));
    if (to * rowHeight < this.window.scrollTop) this.window.scrollTop = to * rowHeight;
    else if ((to + 1) * rowHeight > this.window.scrollTop + this.window.clientHeight) this.window.scrollTop = (to + 1) * rowHeight - this.window.clientHeight;
    this.draw();
    this.space.querySelector(`[data-at="${to}"]`)?.focus({ preventScroll: true });
  }

}
