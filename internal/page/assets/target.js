// SPDX-License-Identifier: Apache-2.0

import { get, pathOf } from './api.js';
import { Chart } from './chart.js';
import { askPause } from './control.js';
import { count, el, percent, several, span, svg, total, trip } from './dom.js';
import { at, brokenPaths, explain, state } from './judge.js';

let range = 0; // index of the resolution that was looked at last

// TargetView is one target: its past, its paths, and what they mean.
export class TargetView {
  constructor(main, name, refresh) {
    Object.assign(this, { name, refresh, group: null });
    this.chart = new Chart();
    this.top = el('div', {}, el('p', { class: 'empty' }, '…'));
    this.ranges = el('div', { class: 'bar', role: 'group', 'aria-label': 'How far back' });
    this.past = el('p', { class: 'dim' });
    this.rows = el('div', { class: 'scroll' });
    this.table = el('details', { ontoggle: () => this.fillTable() }, el('summary', {}, 'The same as a table'), this.rows);
    this.paths = el('section', { class: 'panel wide', 'aria-label': 'Source ports' });
    this.more = el('div', { class: 'panels' });
    this.body = el('div', { hidden: true }, el('section', { class: 'panel', 'aria-label': 'History' }, this.ranges, this.chart.node, this.past, this.table), this.paths, this.more);
    main.replaceChildren(el('p', {}, el('a', { href: '#/' }, '← all targets')), this.top, this.body);
    main.focus({ preventScroll: true });
    scrollTo(0, 0);
  }

  close() { this.chart.close(); }
  redraw() { this.chart.draw(); }

  failed(e) {
    if (e.status === 404) {
      this.body.hidden = true;
      this.top.replaceChildren(el('h1', {}, this.name), el('p', { class: 'explain warn' }, 'There is no such target now.'));
    } else if (this.body.hidden) {
      this.top.replaceChildren(el('h1', {}, this.name), el('p', { class: 'explain bad' }, e.message));
    }
  }

  async update(status) {
    const target = await get(pathOf(this.name));
    this.status = status;
    this.show(target);
    await this.loadPast();
  }

  show(target) {
    this.target = target;
    const groups = target.groups ?? [];
    const g = groups.find((x) => x.group === this.group) ?? groups[0];
    this.group = g?.group ?? null;
    const paths = (target.paths ?? []).filter((p) => p.group === this.group);
    const s = state(target);
    const round = g?.round;
    const [kind, text] = explain(target, g, paths);
    const focused = document.activeElement?.id;
    const figure = (name, value, cls = '') => el('div', {}, el('span', {}, name), el('b', { class: cls }, value));
    this.top.replaceChildren(
      el('div', { class: 'bar' }, el('h1', {}, target.name), el('b', { class: s.kind }, `${s.mark} ${s.word}`), el('span', { class: 'grow' }),
        groups.length > 1 ? el('select', { id: 'group', 'aria-label': 'Group', onchange: (e) => { this.group = e.target.value; this.show(this.target); this.loadPast(); } },
          groups.map((x) => el('option', { value: x.group, selected: x.group === this.group }, 'group ' + x.group))) : null,
        el('button', { type: 'button', id: 'pause', onclick: () => askPause(target, this.refresh) }, target.paused ? 'Resume…' : 'Pause…')),
      el('p', { class: 'explain ' + kind, id: 'explain' }, text),
      el('div', { class: 'big' },
        figure('loss, last round', percent(round?.loss_ratio), round?.lost > 0 ? 'bad' : ''),
        figure('loss, since start', percent(g?.sent ? g.lost / g.sent : null)),
        figure('median', trip(at(round, '50'))), figure('p95', trip(at(round, '95'))),
        figure('min – max', round?.round_trip ? `${trip(round.round_trip.min_seconds)} – ${trip(round.round_trip.max_seconds)}` : '–'),
        figure('jitter', trip(round?.round_trip?.jitter_seconds))),
      round?.round_trip?.uncertain ? el('p', { class: 'warn' }, '▲ The send times of all probes of this round are uncertain, and so are its round trips.') : '');
    if (focused) this.top.querySelector('#' + CSS.escape(focused))?.focus();
    this.body.hidden = false;
    this.showPaths(paths);
    this.showMore(target, g);
  }

  async loadPast() {
    const steps = this.status.history?.resolution_steps ?? [];
    if (range >= steps.length) range = 0;
    if (this.shown !== JSON.stringify([steps, range])) {
      this.shown = JSON.stringify([steps, range]);
      this.ranges.replaceChildren(el('h2', {}, 'Round trips and loss'), ...steps.map((s, i) => el('button', { type: 'button', 'aria-pressed': String(i === range), onclick: () => { range = i; this.loadPast(); } }, `${span(s.kept_seconds)} by ${span(s.step_seconds)}`)));
    }
    if (steps.length === 0 || this.group === null) {
      this.past.textContent = steps.length === 0 ? 'No past is kept (history.memory).' : 'There is no past yet.';
      return;
    }
    let past;
    try {
      past = await get(`${pathOf(this.name)}/history?` + new URLSearchParams({ group: this.group, step: steps[range].step_seconds }));
    } catch (e) {
      if (e.status !== 404) throw e;
      past = { points: [], step_seconds: steps[range].step_seconds };
    }
    const points = (past.points ?? []).map((p) => ({ ...p, t: Date.parse(p.time) / 1000 }));
    const step = past.step_seconds || steps[range].step_seconds;
    const now = Date.parse(this.status.now) / 1000;
    const end = Math.max(now, points.length ? points[points.length - 1].t + step : 0);
    // A short past fills the chart as well as a long one.
    const begin = Math.max(end - steps[range].kept_seconds, Math.min(points[0]?.t ?? end, end - Math.max(step * 30, 300)));
    this.points = points;
    this.chart.show(points, begin, end, step);
    this.past.textContent = `${points.length ? '' : 'There is no past yet. '}Kept in memory for ${span(steps[range].kept_seconds)} in steps of ${span(step)}; gone when the daemon ends.`;
    this.fillTable();
  }

  fillTable() {
    if (!this.table.open || !this.points) return;
    const head = ['From', 'Sent', 'Lost', 'Loss', 'Not sent', 'Unknown', 'Min', 'p25', 'Median', 'p75', 'p95', 'Max'];
    this.rows.replaceChildren(el('table', {}, el('thead', {}, el('tr', {}, head.map((h) => el('th', { scope: 'col', class: 'num' }, h)))),
      el('tbody', {}, [...this.points].reverse().slice(0, 500).map((p) => el('tr', {}, [new Date(p.t * 1000).toLocaleString('en-GB'), count(p.sent), count(p.lost), percent(p.sent ? p.lost / p.sent : null), count(p.not_sent), count(p.unknown),
        ...(p.bands ?? Array(6).fill(null)).map(trip)].map((v) => el('td', { class: 'num' }, v)))))));
  }

  showPaths(paths) {
    const { used, broken } = brokenPaths(paths);
    const most = 512;
    const ordered = paths.length > most ? [...paths].sort((a, b) => (b.sent - b.answered) - (a.sent - a.answered)).slice(0, most) : paths;
    const scroll = this.paths.querySelector('.ports')?.scrollTop ?? 0;
    const name = this.target.type === 'ICMPping' ? 'Echo identifiers' : 'Source ports';
    this.paths.replaceChildren(el('h2', {}, name, el('span', { class: 'dim' }, `: each is one path; a cell is a round, the newest at the right`)),
      el('p', { class: broken.length ? 'bad' : 'dim' }, broken.length ? `✖ ${broken.length} of ${used.length} get nearly no answer` : `${several(used.length, 'path')} in use` + (paths.length > most ? `; the worst ${most} are shown` : '')),
      el('div', { class: 'ports' }, ordered.map((p) => strip(p, broken.includes(p)))));
    this.paths.querySelector('.ports').scrollTop = scroll;
  }

  showMore(target, g) {
    const pairs = (title, entries) => el('section', { class: 'panel', 'aria-label': title }, el('h2', {}, title), el('dl', {}, entries.filter(([, v]) => v !== undefined && v !== null && v !== '').flatMap(([k, v]) => [el('dt', {}, k), el('dd', {}, v)])));
    const parts = (map) => Object.entries(map ?? {}).filter(([, n]) => n > 0).map(([k, n]) => [k, count(n)]);
    const when = (t) => (t ? new Date(t).toLocaleString('en-GB') : undefined);
    this.more.replaceChildren(
      pairs('Since the start', g ? [['sent', count(g.sent)], ['lost', `${count(g.lost)} (${percent(g.sent ? g.lost / g.sent : null)})`], ...parts(g.causes).map(([k, n]) => ['· ' + k, n]),
        ['ICMP errors', parts(g.icmp_errors).map(([k, n]) => `${k}: ${n}`).join(', ')],
        ['not sent', count(total(g.not_sent))], ...parts(g.not_sent).map(([k, n]) => ['· ' + k, n]), ['unknown', count(total(g.unknown))], ...parts(g.unknown).map(([k, n]) => ['· ' + k, n]),
        ['duplicates', count(g.duplicates)], ['late', count(g.late)], ['reordered', count(g.reordered)], ['TTL changes', count(g.ttl_changes)], ['uncertain', count(g.marked)]] : []),
      pairs('Target', [['type', target.type], ['destination', target.destination], ['address', target.address], ['port', target.dst_port || undefined], ['family', target.address_family], ['interface', target.interface], ['state', target.state],
        ['source', target.source], ['owner', target.owner], ['expires', when(target.expires)], ['resumes', when(target.resumes)], ['alert level', target.alert_level],
        ['loss threshold', target.threshold_loss_percent === undefined ? undefined : target.threshold_loss_percent + ' %'], ['latency threshold', target.threshold_latency_seconds === undefined ? undefined : trip(target.threshold_latency_seconds)],
        ['last round', when(g?.round?.end)]]),
      Object.keys(target.labels ?? {}).length ? pairs('Labels', Object.entries(target.labels)) : '');
  }
}

// strip is one path: its last rounds as cells, oldest first.
function strip(p, broken) {
  const size = 8, n = 16;
  const cells = [];
  (p.rounds ?? []).slice(0, n).forEach((r, back) => {
    const x = (n - 1 - back) * size;
    const kind = r.sent === 0 ? 'none' : r.answered === r.sent ? 'ok' : r.answered === 0 ? 'lost' : 'part';
    if (back === 0 && r.answered < r.sent) { // it may be under way
      cells.push(svg('rect', { class: 'cell-none', x, y: 2, width: size - 1, height: 10 }));
      return;
    }
    cells.push(svg('rect', { class: 'cell-' + kind, x, y: kind === 'lost' ? 0 : 2, width: size - 1, height: kind === 'lost' ? 14 : 10 }));
    if (kind === 'lost') cells.push(svg('path', { class: 'cell-x', d: `M${x + 1.5} 4.5l4 5m0-5l-4 5` }));
  });
  const text = `port ${p.source_port} to ${p.remote}: ${p.answered} of ${p.sent} answered`;
  return el('div', { class: broken ? 'port broken' : 'port', title: text + (p.round_trip_seconds ? ', ' + trip(p.round_trip_seconds) : '') },
    svg('svg', { width: n * size, height: 14, role: 'img', 'aria-label': text }, cells), el('span', {}, `${p.source_port}${broken ? ' ✖' : ''}`));
}
