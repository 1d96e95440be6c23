// The table of pods: one row each, in order, filtered; a line is drawn only where it is in sight.

import { byId, el, setAttribute, setHidden, setText } from './dom.js';
import { count, rate, shortName, states } from './format.js';
import { sparkline } from './charts.js';
import { Order } from './order.js';
import { phaseOf } from './store.js';

/** Frames between two updates of a row out of sight: hundreds of rows then cost little. */
const OUT_OF_SIGHT = 10;

/** Rows shown before the reader opens all: what follows the table must stay within reach. */
const AT_FIRST = 25;

const body = byId('pods').tBodies[0];
const filter = byId('filter');
const more = byId('more-pods');
const rows = new Map();
const order = new Order();
let frames = 0;
let all = false;
let pointedAt = false;

const inSight = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) rows.get(target.dataset.pod)?.see(isIntersecting);
}, { rootMargin: '120px 0px' });

class Row {
  constructor(pod, store, open) {
    this.pod = pod;
    this.store = store;
    this.name = el('button', { type: 'button', title: pod.pod }, shortName(pod.pod));
    this.phase = el('span');
    this.badge = el('span', { class: 'badge', hidden: '' },
      el('span', { class: 'hidden' }, 'draining: '), this.phase);
    this.ports = el('td', { class: 'ports wide' });
    this.inFlight = el('td', { class: 'number' });
    this.trend = el('div', { class: 'spark', 'aria-hidden': 'true' });
    this.states = el('td', { class: 'states medium' });
    this.rate = el('td', { class: 'number' });
    this.arrivals = el('td', { class: 'number wide' });
    this.element = el('tr', { 'data-pod': pod.id },
      el('th', { scope: 'row', class: 'name' }, this.name, this.badge),
      this.ports, this.inFlight, el('td', { class: 'trend' }, this.trend),
      this.states, this.rate, this.arrivals);
    this.element.addEventListener('click', () => open(pod.id));
    inSight.observe(this.element);
    this.update();
  }

  see(visible) {
    this.visible = visible;
    if (visible && !this.line) {
      this.update();
      const data = () => this.pod.history.columns.slice(0, 2);
      this.line = sparkline(this.trend, data, () => this.store.span());
    } else if (!visible && this.line) {
      this.line.end();
      this.line = null;
    }
  }

  update() {
    const { pod } = this;
    setText(this.ports, (pod.ports ?? []).join(', '));
    setText(this.inFlight, count(pod.in_flight));
    setText(this.states, states(pod.by_state));
    setText(this.rate, rate(pod.rate));
    setText(this.arrivals, count(pod.arrivals));
    setHidden(this.badge, !pod.drain);
    setText(this.phase, pod.drain ? phaseOf(pod.drain) : '');
    this.line?.update();
  }

  end() {
    this.see(false);
    inSight.unobserve(this.element);
    this.element.remove();
  }
}

/** Bring the table up to date; `open` is called with the id of a pod that is chosen. */
export function showPods(store, open) {
  for (const [id, row] of rows) {
    if (store.pods.get(id) !== row.pod) {
      row.end();
      rows.delete(id);
    }
  }
  arrange(store, open);
  frames += 1;
  let at = frames;
  for (const row of rows.values()) {
    at += 1;
    if (row.visible || row.pod.drain || at % OUT_OF_SIGHT === 0) row.update();
  }
}

/** Nothing moves under a pointer, or under who goes through the rows by keyboard. */
const inUse = () => pointedAt || body.querySelector(':focus-visible') !== null;

function arrange(store, open) {
  const wanted = filter.value.trim().toLowerCase();
  const matches = ({ pod, ports = [] }) =>
    !wanted || pod.toLowerCase().includes(wanted) || ports.some((port) => String(port) === wanted);
  const found = order.sort([...store.pods.values()], inUse()).filter(matches);
  const shown = all ? found : found.slice(0, AT_FIRST);
  place(shown.map((pod) => {
    if (!rows.has(pod.id)) rows.set(pod.id, new Row(pod, store, open));
    return rows.get(pod.id).element;
  }));
  setHidden(byId('urgent-first'), order.by !== null || store.pods.size < 2);
  setText(byId('shown'), wanted ? `${found.length} of ${store.pods.size}` : '');
  setHidden(byId('no-pods'), found.length > 0);
  setText(byId('no-pods'), wanted ? 'No pod has this name or port.' : nothingSeen(store.health));
  setHidden(more, found.length <= AT_FIRST);
  setText(more, all ? `Show the first ${AT_FIRST}` : `Show all ${count(found.length)}`);
}

function place(elements) {
  if (elements.length === body.rows.length && elements.every((row, at) => row === body.rows[at])) return;
  const focused = document.activeElement;
  body.replaceChildren(...elements);
  if (body.contains(focused)) focused.focus({ preventScroll: true });
}

function nothingSeen({ processes }) {
  const names = new Intl.ListFormat('en', { type: 'disjunction' }).format(processes);
  return `The daemon sees no process named ${names} on this node. Its --process says which names it looks for.`;
}

/** Sort and filter as the user wants; `open` as in `showPods`. */
export function listen(store, open) {
  const again = () => arrange(store, open);
  // A finger that has tapped a row does not stay there.
  body.addEventListener('pointerenter', ({ pointerType }) => { pointedAt = pointerType === 'mouse'; });
  body.addEventListener('pointerleave', () => { pointedAt = false; });
  filter.addEventListener('input', again);
  more.addEventListener('click', () => {
    all = !all;
    again();
  });
  for (const head of byId('pods').querySelectorAll('[data-sort]')) {
    head.querySelector('button').addEventListener('click', () => {
      order.press(head.dataset.sort);
      tellOrder();
      again();
    });
  }
  tellOrder();
}

function tellOrder() {
  for (const head of byId('pods').querySelectorAll('[data-sort]')) {
    const sorted = head.dataset.sort === order.by;
    setAttribute(head, 'aria-sort', sorted ? (order.descending ? 'descending' : 'ascending') : 'none');
  }
}
