// SPDX-License-Identifier: Apache-2.0

// Elements and figures. All text gets in as text: what a target or a label is
// called is never markup.

// el makes an element: el('b', {class: 'x', onclick: f}, 'text', other).
export function el(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

// svg makes an element of a drawing.
export function svg(name, attributes = {}, ...children) {
  return fill(document.createElementNS('http://www.w3.org/2000/svg', name), attributes, children);
}

function fill(e, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith('on')) e.addEventListener(key.slice(2), value);
    else if (value === true) e.setAttribute(key, '');
    else if (value !== false && value !== null && value !== undefined) e.setAttribute(key, value);
  }
  for (const child of children.flat()) if (child !== null && child !== undefined) e.append(child);
  return e;
}

export const byID = (id) => document.getElementById(id);

// trip is a round trip, in seconds, as a person reads it.
export function trip(s) {
  if (s === undefined || s === null) return '–';
  if (s === 0) return '0';
  if (s < 1e-3) return digits(s * 1e6) + ' µs';
  if (s < 1) return digits(s * 1e3) + ' ms';
  return digits(s) + ' s';
}

function digits(x) { return x >= 100 ? x.toFixed(0) : x >= 10 ? x.toFixed(1) : x.toFixed(2); }

// percent is a share as a person reads it: what is lost is never 0 %.
export function percent(ratio) {
  if (ratio === undefined || ratio === null) return '–';
  const p = ratio * 100;
  if (p > 0 && p < 0.01) return '<0.01 %';
  if (p < 100 && p > 99.99) return '>99.99 %';
  return (p === 0 || p === 100 ? p : p < 10 ? p.toFixed(2) : p.toFixed(1)) + ' %';
}

export const count = (n) => Number(n ?? 0).toLocaleString('en');
export const several = (n, what) => `${count(n)} ${what}${n === 1 ? '' : 's'}`;

// span is how long something takes, in seconds, in words.
export function span(s) {
  if (s < 120) return Math.round(s) + ' s';
  if (s < 7200) return Math.round(s / 60) + ' min';
  if (s < 172800) return +(s / 3600).toFixed(1) + ' h';
  return +(s / 86400).toFixed(1) + ' days';
}

export const clock = (time) => time.toLocaleTimeString('en-GB');

export const total = (map) => Object.values(map ?? {}).reduce((a, b) => a + b, 0);
