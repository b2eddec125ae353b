// SPDX-License-Identifier: Apache-2.0

// What the figures of a target mean.

import { count, percent, total, trip } from './dom.js';

// worstOf is the group of a target that lost most, of those with a round.
export function worstOf(target) {
  let worst = null;
  for (const g of target.groups ?? []) {
    if (worst === null || (g.round?.loss_ratio ?? -1) > (worst.round?.loss_ratio ?? -1)) worst = g;
  }
  return worst;
}

// at is the round trip of a percentile: the one asked for or the next one there is.
export function at(round, percentile) {
  const p = round?.round_trip?.percentiles ?? {};
  if (p[percentile] !== undefined) return p[percentile];
  const near = Object.keys(p).sort((a, b) => Math.abs(a - percentile) - Math.abs(b - percentile))[0];
  return near === undefined ? undefined : p[near];
}

// state is how a target fares: a class, a mark and a word, so that it takes no
// colour to tell.
export function state(target) {
  if (target.paused) return { kind: 'off', mark: '‖', word: 'paused' };
  const worst = worstOf(target);
  if (!worst?.round) return { kind: 'off', mark: '·', word: 'no round' };
  const loss = worst.round.loss_ratio;
  if (loss === undefined || loss === null) return { kind: 'warn', mark: '∅', word: 'not sent' };
  if (loss === 1) return { kind: 'bad', mark: '✖', word: 'all lost' };
  const limit = target.threshold_loss_percent;
  if (limit !== undefined && loss * 100 > limit) return { kind: 'bad', mark: '✖', word: 'loss' };
  if (loss > 0) return { kind: 'warn', mark: '▲', word: 'loss' };
  const slow = target.threshold_latency_seconds;
  if (slow !== undefined && (target.groups ?? []).some((g) => at(g.round, '50') > slow)) return { kind: 'warn', mark: '◆', word: 'slow' };
  return { kind: 'good', mark: '●', word: 'ok' };
}

// brokenPaths are the paths that lost nearly all of what was sent, and the others
// that were used.
export function brokenPaths(paths) {
  const used = paths.filter((p) => p.sent > 0);
  return { used, broken: used.filter((p) => p.sent >= 3 && p.answered / p.sent < 0.2) };
}

const reasons = {
  no_route: 'the kernel has no route', other_interface: 'the route leaves by another interface', link_down: 'the link is down',
  neighbour_pending: 'the next hop was still being asked for its MAC address', ring_full: 'the kernel took no more frames',
  tuple_busy: 'all that the flow may carry was under way', blocked: 'the address is blocked by the lists', too_large: 'the packet is too large for the route',
  behind: 'this machine was too busy', stopped: 'sending is stopped',
};

// explain says in a sentence what was measured, and where to look.
export function explain(target, group, paths) {
  if (target.paused) return ['off', 'Paused: nothing is sent, and nothing is said of the network.'];
  const round = group?.round;
  if (!round) return ['off', target.address ? 'The first round is not complete yet.' : 'There is no round, and no address: the name may not resolve.'];
  const most = (map) => Object.entries(map ?? {}).sort((a, b) => b[1] - a[1])[0];
  if (round.loss_ratio === undefined) {
    const [why] = most(group.not_sent) ?? [];
    return ['warn', `Nothing was sent in the last round${why ? `: ${reasons[why] ?? why}` : ''}. This says nothing of the network; the cause is on this machine.`];
  }
  const { used, broken } = brokenPaths(paths);
  if (broken.length > 0 && broken.length < used.length) {
    const named = broken.slice(0, 5).map((p) => p.source_port).join(', ') + (broken.length > 5 ? ' …' : '');
    return ['bad', `${broken.length} of ${used.length} source ports get nearly no answer (${named}) while the others do: one of several parallel paths is broken, such as a member of a link bundle.`];
  }
  if (round.lost === 0) {
    const before = group.lost > 0 ? ` Since the start ${count(group.lost)} of ${count(group.sent)} were lost.` : '';
    return ['good', `All ${count(round.sent)} probes of the last round were answered.${before}`];
  }
  const [cause] = most(group.causes) ?? ['timeout'];
  const share = round.loss_ratio === 1 ? 'Every probe' : `${percent(round.loss_ratio)} of the probes`;
  if (cause === 'no_neighbour') return ['bad', `${share} of the last round had nobody to go to: the next hop does not answer ARP or neighbour discovery (no_neighbour). The router, the host on this link, or the link is gone.`];
  if (cause === 'icmp_error') {
    const [kind] = most(group.icmp_errors) ?? [];
    return ['bad', `${share} of the last round were refused by an ICMP error${kind ? ` (type/code ${kind})` : ''}: somebody on the way rejects them, such as a firewall or a router without a route.`];
  }
  if (round.loss_ratio === 1) return ['bad', `${share} of the last round got no answer in time (timeout): the target, the way there or the way back is silent, or a firewall drops them.`];
  return ['warn', `${share} of the last round got no answer in time (timeout), spread over ${used.length} source ports: the network drops packets on a shared part of the way, or the target limits its answers.`];
}

// problems are what of the probe itself is not as it should be.
export function problems(status) {
  const all = [];
  const add = (kind, text) => all.push({ kind, text });
  if (status.stopped) add('bad', '✖ sending is stopped' + (status.stopped_reason ? ': ' + status.stopped_reason : ''));
  if (!status.healthy.ok) add('bad', '✖ not healthy: ' + (status.healthy.reason ?? ''));
  if (!status.ready.ok) add('warn', '▲ not ready: ' + (status.ready.reason ?? ''));
  if (status.reload_failed) add('bad', '✖ the last reload failed; probing goes on as before');
  for (const i of status.interfaces ?? []) {
    const dropped = (i.queues ?? []).reduce((n, q) => n + (q.rx_ring_full ?? 0) + (q.fill_ring_empty ?? 0), 0);
    if (dropped > 0) add('warn', `▲ ${i.name}: ${count(dropped)} replies dropped here`);
    if (i.schedule_lag_seconds > 0.05) add('warn', `▲ ${i.name}: probes leave ${trip(i.schedule_lag_seconds)} late`);
  }
  const largest = (map) => Object.entries(map ?? {}).filter(([, n]) => n > 0).sort((a, b) => b[1] - a[1]).map(([k, n]) => `${k} ${count(n)}`).join(', ');
  if (total(status.not_sent) > 0) add('warn', '▲ not sent: ' + largest(status.not_sent));
  if (total(status.unknown) > 0) add('warn', '▲ unknown: ' + largest(status.unknown));
  return all;
}
