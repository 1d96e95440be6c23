// What is known of one pod, or of one drain that has ended, in a dialog.

import { byId, el, setText } from './dom.js';
import { bytes, count, dateAndTime, duration, NONE, shortName, states } from './format.js';
import { chart } from './charts.js';
import { phaseOf } from './store.js';

const REFRESH = 2000;

const dialog = byId('detail');
const body = byId('detail-body');
let leave = () => {};

dialog.addEventListener('close', () => {
  if (!dialog.open) clear();
});
// A click beside it closes it, as Escape does.
dialog.addEventListener('click', (event) => {
  if (event.target === dialog) dialog.close();
});

function clear() {
  leave();
  leave = () => {};
  body.replaceChildren();
}

function open(title, ...parts) {
  clear();
  setText(byId('detail-title'), title);
  body.replaceChildren(...parts);
  body.scrollTop = 0;
  dialog.showModal();
}

/** A pod with its connections, as long as it is open. Gives a function that brings it up to date. */
export function openPod(pod, store) {
  const about = el('dl', { class: 'facts' });
  const place = el('div', { class: 'chart', role: 'img', 'aria-label': 'In flight, the last minutes' });
  const said = el('p', { class: 'empty' }, 'Looking at its connections…');
  const table = el('div', { class: 'table' });
  open(shortName(pod.pod), about, el('h3', {}, 'In flight'), place, said, table);
  const drawn = chart(place, () => pod.history.columns.slice(0, 2), () => store.span(), 'flight');
  const look = async () => {
    try {
      const response = await fetch(`v1/pods/${pod.id}/connections`);
      const answer = await response.json();
      if (!response.ok) throw new Error(answer.error);
      showConnections(answer, said, table);
    } catch (error) {
      setText(said, `Its connections cannot be shown: ${error.message}`);
    }
    if (dialog.open && current === update) timer = setTimeout(look, REFRESH);
  };
  let timer = 0;
  const update = () => {
    drawn.update();
    about.replaceChildren(...facts({
      Namespace: pod.namespace || undefined,
      Draining: pod.drain && `${phaseOf(pod.drain)}: ${pod.drain.reason}`,
      Ports: (pod.ports ?? []).join(', ') || NONE,
      'In flight': count(pod.in_flight),
      States: states(pod.by_state),
      Arrivals: count(pod.arrivals),
      Probes: pod.probes_accepted ? `${count(pod.probes_accepted)}, ${count(pod.probes)} open` : undefined,
      'nginx master': (pod.masters ?? []).map((pid) => `pid ${pid}`).join(', ') || 'none',
      'Netns inode': String(pod.netns),
      'Pod UID': pod.uid || undefined,
      Container: shortName(pod.pod) === pod.pod ? undefined : pod.pod,
      'Ways in': (pod.ways_in ?? []).join(', ') || 'none',
    }));
  };
  let current = update;
  leave = () => {
    current = null;
    clearTimeout(timer);
    drawn.end();
  };
  update();
  look();
  return () => { if (current === update) update(); };
}

function showConnections({ total, connections, listeners }, said, table) {
  const queues = listeners.filter(({ unaccepted }) => unaccepted)
    .map(({ port, unaccepted, limit }) => `${unaccepted} of ${limit ?? '?'} wait to be accepted on port ${port}`);
  const shown = connections.length < total
    ? `The first ${count(connections.length)} of ${count(total)} connections.`
    : total === 1 ? '1 connection.' : `${count(total)} connections.`;
  setText(said, [shown, ...queues].join(' '));
  table.replaceChildren(...(total ? [connectionTable(connections)] : []));
}

function connectionTable(connections) {
  const head = ['Remote', 'Port', 'State', 'Age', 'Idle', 'Received', 'Unsent'];
  const rows = connections.map((c) => el('tr', { class: c.in_flight ? '' : 'safe' },
    el('th', { scope: 'row' }, c.remote),
    el('td', {}, c.local.slice(c.local.lastIndexOf(':') + 1)),
    el('td', {}, c.state + (c.in_flight ? '' : ` · ${c.standing}`)),
    el('td', { class: 'number' }, duration(c.age)),
    el('td', { class: 'number' }, duration(c.idle)),
    el('td', { class: 'number' }, bytes(c.bytes_received)),
    el('td', { class: 'number' }, bytes(c.unsent))));
  return el('table', { class: 'connections', 'aria-label': 'Connections' },
    el('thead', {}, el('tr', {}, ...head.map((text, at) =>
      el('th', { scope: 'col', class: at > 2 ? 'number' : '' }, text)))),
    el('tbody', {}, ...rows));
}

/** A drain that has ended. */
export function openDrain(drain) {
  const phases = drain.phases.map(([phase, at], index) => {
    const until = drain.phases[index + 1]?.[1] ?? drain.seconds;
    return `${phase} ${index + 1 < drain.phases.length ? `${duration(at)} to ${duration(until)}` : `at ${duration(at)}`}`;
  });
  const left = drain.remaining ?? [];
  open(`Drain of ${shortName(drain.pod)}`,
    el('dl', { class: 'facts' }, ...facts({
      Result: drain.result,
      Reason: drain.reason || undefined,
      Began: dateAndTime(drain.started),
      Took: duration(drain.seconds),
      Phases: phases.join(', '),
      'Peak in flight': count(drain.peak_in_flight),
      Left: states(drain.by_state),
      'Not waited for': notWaitedFor(drain),
      'Cut off': drain.cut ? count(drain.cut) : undefined,
      'Cannot be counted': drain.uncounted?.join(', ') || undefined,
      Arrivals: count(drain.arrivals),
      'Last arrival': drain.last_arrival == null ? NONE : `after ${duration(drain.last_arrival)}`,
      'May still serve UDP': drain.udp_workers ? `${count(drain.udp_workers)} of nginx's workers` : undefined,
      'Workers replaced': [(drain.rolls ?? []).map((at) => `after ${duration(at)}`).join(', ') || 'never', drain.roll].filter(Boolean).join(': '),
    })),
    ...(left.length ? [el('h3', {}, 'Left at the deadline'), el('div', { class: 'table' }, connectionTable(left))] : []));
}

function notWaitedFor({ unused, unreachable }) {
  const said = [unused && `${count(unused)} unused`, unreachable && `${count(unreachable)} unreachable`];
  return said.filter(Boolean).join(', ') || undefined;
}

function facts(named) {
  return Object.entries(named).filter(([, value]) => value !== undefined)
    .map(([name, value]) => el('div', { class: widthFor(value) }, el('dt', {}, name), el('dd', {}, value)));
}

function widthFor({ length }) {
  if (length > 44) return 'longest';
  return length > 18 ? 'long' : '';
}
