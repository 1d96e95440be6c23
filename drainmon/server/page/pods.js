// The table of pods: one row each, sorted, filtered; a line is drawn only where it is in sight.

import { byId, el, setAttribute, setHidden, setText } from './dom.js';
import { count, rate, states } from './format.js';
import { sparkline } from './charts.js';

/** Rows out of sight are brought up to date every so many frames: hundreds cost little then. */
const OUT_OF_SIGHT = 10;

const body = byId('pods').tBodies[0];
const filter = byId('filter');
const rows = new Map();
let frames = 0;
const order = { by: 'name', descending: false };

const compare = {
  name: (a, b) => a.pod.localeCompare(b.pod, 'en', { numeric: true }),
  in_flight: (a, b) => a.in_flight - b.in_flight,
  rate: (a, b) => (a.rate ?? -1) - (b.rate ?? -1),
  accepted: (a, b) => a.accepted - b.accepted,
};

const inSight = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) rows.get(target.dataset.pod)?.see(isIntersecting);
}, { rootMargin: '120px 0px' });

class Row {
  constructor(pod, store, open) {
    this.pod = pod;
    this.store = store;
    this.name = el('button', { type: 'button', title: pod.pod }, pod.pod);
    this.badge = el('span', { class: 'badge', hidden: '' }, 'draining');
    this.ports = el('td', { class: 'ports wide' });
    this.inFlight = el('td', { class: 'number' });
    this.trend = el('div', { class: 'spark', 'aria-hidden': 'true' });
    this.states = el('td', { class: 'states medium' });
    this.rate = el('td', { class: 'number' });
    this.accepted = el('td', { class: 'number wide' });
    this.element = el('tr', { 'data-pod': pod.id },
      el('th', { scope: 'row', class: 'name' }, this.name, this.badge),
      this.ports, this.inFlight, el('td', { class: 'trend' }, this.trend),
      this.states, this.rate, this.accepted);
    this.element.addEventListener('click', () => open(pod.id));
    inSight.observe(this.element);
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
    setText(this.accepted, count(pod.accepted));
    setHidden(this.badge, !pod.draining);
    this.line?.update();
  }

  end() {
    this.see(false);
    inSight.unobserve(this.element);
    this.element.remove();
  }
}

/** What a pod and its drain have in common. */
const nameOf = ({ netns, pod }) => `${netns} ${pod}`;

/** Bring the table up to date; `open` is called with the id of a pod that is chosen. */
export function showPods(store, open) {
  for (const [id, row] of rows) {
    if (store.pods.get(id) !== row.pod) {
      row.end();
      rows.delete(id);
    }
  }
  const draining = new Set(store.running().map(nameOf));
  frames += 1;
  let at = frames;
  for (const [id, pod] of store.pods) {
    const isNew = !rows.has(id);
    if (isNew) rows.set(id, new Row(pod, store, open));
    pod.draining = draining.has(nameOf(pod));
    at += 1;
    if (isNew || rows.get(id).visible || at % OUT_OF_SIGHT === 0) rows.get(id).update();
  }
  arrange(store);
}

function arrange(store) {
  const wanted = filter.value.trim().toLowerCase();
  const matches = ({ pod, ports = [] }) =>
    pod.toLowerCase().includes(wanted) || ports.some((port) => String(port) === wanted);
  const shown = [...store.pods.values()].filter((pod) => !wanted || matches(pod));
  const sign = order.descending ? -1 : 1;
  shown.sort((a, b) => sign * compare[order.by](a, b) || compare.name(a, b));
  const elements = shown.map((pod) => rows.get(pod.id).element);
  if (elements.length !== body.rows.length || elements.some((row, at) => row !== body.rows[at])) {
    body.replaceChildren(...elements);
  }
  setText(byId('shown'), wanted ? `${shown.length} of ${store.pods.size}` : '');
  setHidden(byId('no-pods'), shown.length > 0);
  setText(byId('no-pods'), wanted ? 'No pod has this name or port.' : 'No nginx runs on this node.');
}

/** Sort and filter as the user wants. */
export function listen(store) {
  filter.addEventListener('input', () => arrange(store));
  for (const head of byId('pods').querySelectorAll('[data-sort]')) {
    head.querySelector('button').addEventListener('click', () => {
      const by = head.dataset.sort;
      // Numbers are wanted with the largest first.
      order.descending = order.by === by ? !order.descending : by !== 'name';
      order.by = by;
      tellOrder();
      arrange(store);
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
