// SPDX-License-Identifier: Apache-2.0

import { clock, count, el, percent, span, trip } from './dom.js';

const left = 62, right = 10, top = 8, lane = 34, axis = 20; // px

// Chart is the past of a target: bands of percentiles in shades, the median as a
// line, and below it what was lost. Where there is nothing, nothing is drawn.
export class Chart {
  constructor() {
    this.canvas = el('canvas', { tabindex: 0, role: 'img', onpointermove: (e) => this.point(e.offsetX), onpointerleave: () => this.leave(), onpointerdown: (e) => this.point(e.offsetX), onkeydown: (e) => this.key(e), onblur: () => this.leave() });
    this.tip = el('div', { class: 'tip', hidden: true });
    this.live = el('div', { role: 'status', class: 'skip' });
    const legend = [['k1', 'min – max'], ['k2', '25 – 95 %'], ['k3', '25 – 75 %'], ['k4', 'median'], ['k5', 'lost'], ['k6', 'not sent'], ['k7', 'unknown']];
    this.node = el('div', {}, el('div', { class: 'chart' }, this.canvas, this.tip), this.live,
      el('div', { class: 'legend' }, legend.map(([c, t]) => el('span', {}, el('i', { class: c }), t)), el('span', {}, 'gap: no round')));
    this.resize = new ResizeObserver(() => this.draw());
    this.resize.observe(this.canvas);
  }

  close() { this.resize.disconnect(); }

  // show draws the points from one time to another, in s, in steps of so many.
  show(points, from, to, step) {
    Object.assign(this, { points, from, to, step });
    if (this.chosen >= points.length) this.leave();
    this.draw();
  }

  x(t) { return left + (t - this.from) / (this.to - this.from) * (this.width - left - right); }

  draw() {
    if (!this.points || this.canvas.clientWidth === 0) return;
    const { canvas } = this;
    const scale = devicePixelRatio || 1;
    this.width = canvas.clientWidth;
    const height = canvas.clientHeight;
    canvas.width = this.width * scale;
    canvas.height = height * scale;
    const g = canvas.getContext('2d');
    g.scale(scale, scale);
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue('--' + name);
    const bottom = height - axis - lane - 6;
    const high = this.high();
    const y = (s) => Math.max(top, bottom - s / high * (bottom - top));
    g.font = '12px system-ui, sans-serif';
    g.textBaseline = 'middle';
    g.lineWidth = 1;
    for (let i = 0; i <= 4; i++) { // the scale
      const at = Math.round(y(high * i / 4)) + 0.5;
      g.strokeStyle = colour('line');
      g.beginPath(); g.moveTo(left, at); g.lineTo(this.width - right, at); g.stroke();
      g.fillStyle = colour('dim'); g.textAlign = 'right';
      g.fillText(trip(high * i / 4), left - 6, at);
    }
    g.fillText('loss', left - 6, height - axis - lane / 2);
    this.times(g, colour, height);
    g.save();
    g.beginPath(); g.rect(left, 0, this.width - left - right, height - axis); g.clip();
    const runs = this.runs();
    for (const [low, up, name] of [[0, 5, 'smoke1'], [1, 4, 'smoke2'], [1, 3, 'smoke3']]) {
      g.fillStyle = colour(name);
      for (const run of runs) this.band(g, run, y, low, up);
    }
    g.strokeStyle = colour('median'); g.lineWidth = 1.6;
    for (const run of runs) {
      g.beginPath();
      for (const p of run) { g.lineTo(this.x(p.t), y(p.bands[2])); g.lineTo(this.x(p.t + this.step), y(p.bands[2])); }
      g.stroke();
    }
    const floor = height - axis;
    g.fillStyle = colour('line'); g.fillRect(left, floor - 1, this.width, 1);
    for (const p of this.points) { // what was lost, not sent, unknown
      const x = this.x(p.t), w = Math.max(1.5, this.x(p.t + this.step) - x);
      const all = p.sent + (p.not_sent ?? 0) + (p.unknown ?? 0);
      let up = floor;
      for (const [n, name] of [[p.lost, 'bad'], [p.not_sent, 'off'], [p.unknown, 'unknown']]) {
        if (!n) continue;
        const h = Math.max(3, n / all * lane);
        g.fillStyle = colour(name); g.fillRect(x, up - h, w, h);
        up -= h;
      }
      if (p.sent > 0 && p.lost > 0) { // and how it struck the round trips
        g.globalAlpha = 0.12 + 0.3 * p.lost / p.sent;
        g.fillStyle = colour('bad'); g.fillRect(x, top, w, bottom - top);
        g.globalAlpha = 1;
      }
    }
    if (this.chosen !== undefined && this.points[this.chosen]) {
      const x = this.x(this.points[this.chosen].t + this.step / 2);
      g.strokeStyle = colour('text'); g.lineWidth = 1;
      g.beginPath(); g.moveTo(x, top); g.lineTo(x, floor); g.stroke();
    }
    g.restore();
    const lossy = this.points.filter((p) => p.lost > 0).length;
    canvas.setAttribute('aria-label', `Round trips and loss from ${clock(new Date(this.from * 1000))} to ${clock(new Date(this.to * 1000))}: ${this.points.length} steps of ${span(this.step)}, ${lossy} with loss. Arrow keys read the steps; a table follows.`);
  }

  // high is the top of the scale: above nearly all, so that one peak does not
  // flatten the rest.
  high() {
    const values = this.points.filter((p) => p.bands).map((p) => p.bands[4]).sort((a, b) => a - b);
    if (values.length === 0) return 1e-3;
    const most = values[Math.min(values.length - 1, Math.floor(values.length * 0.98))] * 1.25;
    const unit = 10 ** Math.floor(Math.log10(most));
    return [1, 1.2, 1.6, 2, 3, 4, 5, 6, 8, 10].map((m) => m * unit).find((m) => m >= most) ?? most;
  }

  // runs are points without a gap between them.
  runs() {
    const runs = [];
    let before = null;
    for (const p of this.points) {
      if (!p.bands) { before = null; continue; }
      if (before === null || p.t - before.t > this.step * 1.01) runs.push([]);
      runs[runs.length - 1].push(p);
      before = p;
    }
    return runs;
  }

  band(g, run, y, low, up) {
    g.beginPath();
    for (const p of run) { g.lineTo(this.x(p.t), y(p.bands[up])); g.lineTo(this.x(p.t + this.step), y(p.bands[up])); }
    for (const p of [...run].reverse()) { g.lineTo(this.x(p.t + this.step), y(p.bands[low])); g.lineTo(this.x(p.t), y(p.bands[low])); }
    g.fill();
  }

  times(g, colour, height) {
    const range = this.to - this.from;
    const fits = Math.max(2, Math.floor((this.width - left - right) / 90));
    const unit = [10, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400, 172800, 432000].find((u) => range / u <= fits) ?? 864000;
    const zone = new Date().getTimezoneOffset() * 60;
    g.textAlign = 'center';
    for (let t = Math.ceil((this.from - zone) / unit) * unit + zone; t <= this.to; t += unit) {
      const x = this.x(t), d = new Date(t * 1000);
      g.strokeStyle = colour('line');
      g.beginPath(); g.moveTo(x, top); g.lineTo(x, height - axis + 4); g.stroke();
      g.fillStyle = colour('dim');
      const text = unit >= 86400 ? d.toLocaleDateString('en-GB', { day: 'numeric', month: 'short' }) : unit < 60 ? clock(d) : clock(d).slice(0, 5);
      if (x > left + 14 && x < this.width - 20) g.fillText(text, x, height - axis / 2 + 2);
    }
  }

  point(x) {
    if (!this.points?.length) return;
    const t = this.from + (x - left) / (this.width - left - right) * (this.to - this.from);
    let best = 0;
    this.points.forEach((p, i) => { if (Math.abs(p.t + this.step / 2 - t) < Math.abs(this.points[best].t + this.step / 2 - t)) best = i; });
    this.choose(best);
  }

  key(e) {
    const by = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[e.key];
    if (!by || !this.points?.length) return;
    e.preventDefault();
    e.stopPropagation();
    const from = this.chosen ?? this.points.length;
    this.choose(Math.max(0, Math.min(this.points.length - 1, from + by)));
    this.live.textContent = this.tip.textContent;
  }

  choose(i) {
    this.chosen = i;
    this.draw();
    this.tip.textContent = said(this.points[i]).join('\n');
    this.tip.hidden = false;
    const x = this.x(this.points[i].t);
    this.tip.style.top = '14px';
    this.tip.style.left = x > this.width / 2 ? '' : x + 18 + 'px';
    this.tip.style.right = x > this.width / 2 ? this.width - x + 8 + 'px' : '';
  }

  leave() {
    this.chosen = undefined;
    this.tip.hidden = true;
    this.draw();
  }
}

// said is one point in words.
function said(p) {
  const lines = [new Date(p.t * 1000).toLocaleString('en-GB'), `${count(p.lost)} of ${count(p.sent)} lost (${percent(p.sent ? p.lost / p.sent : null)})`];
  if (p.not_sent) lines.push(`${count(p.not_sent)} not sent`);
  if (p.unknown) lines.push(`${count(p.unknown)} unknown`);
  if (p.bands) lines.push(`median ${trip(p.bands[2])}, p95 ${trip(p.bands[4])}`, `${trip(p.bands[0])} to ${trip(p.bands[5])}`);
  return lines;
}
