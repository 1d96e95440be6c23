// Drains: those in progress as a list, those that have ended as a table.

import { byId, el, setAttribute, setHidden, setText } from './dom.js';
import { ago, clock, count, dateAndTime, duration, limit, NONE, shortName } from './format.js';
import { phaseOf } from './store.js';

const PHASES = ['settling', 'rolling', 'waiting'];

const list = byId('draining');
const body = byId('drains').tBodies[0];
const cards = new Map();
const rows = new Map();

class Card {
  constructor(drain) {
    this.name = el('h3', { title: drain.pod }, shortName(drain.pod));
    this.steps = PHASES.map((phase) => el('li', {}, phase));
    this.reason = el('p', { class: 'reason' });
    this.inFlight = el('b');
    this.left = el('b');
    this.of = el('span');
    this.bar = el('progress', { max: '1', 'aria-label': 'Time spent of the timeout' });
    this.element = el('li', {},
      this.name,
      el('ol', { class: 'phases', 'aria-label': 'Phase' }, ...this.steps),
      el('p', { class: 'amounts' }, this.inFlight, ' in flight', el('span', {}, this.left, this.of)),
      this.bar, this.reason);
  }

  update(drain, now) {
    const at = PHASES.indexOf(phaseOf(drain));
    this.steps.forEach((step, index) => {
      if (index === at) setAttribute(step, 'aria-current', 'step');
      else step.removeAttribute('aria-current');
      step.classList.toggle('passed', index < at);
    });
    const elapsed = Math.max(0, now - drain.started);
    const { timeout } = drain;
    setText(this.inFlight, count(drain.in_flight));
    setText(this.left, timeout ? duration(Math.max(0, timeout - elapsed)) : NONE);
    setText(this.of, timeout ? ` left of ${limit(timeout)}` : '');
    setText(this.reason, drain.reason ?? '');
    this.bar.value = timeout ? Math.min(1, elapsed / timeout) : 0;
  }
}

class Row {
  constructor(drain, open) {
    this.result = el('span', { class: 'result', 'data-result': drain.result }, drain.result);
    this.ago = el('span');
    this.element = el('tr', {},
      el('th', { scope: 'row', class: 'name' },
        el('button', { type: 'button', title: drain.pod }, shortName(drain.pod))),
      el('td', {}, this.result),
      el('td', { class: 'began', title: dateAndTime(drain.started) },
        this.ago, el('span', { class: 'clock' }, ` · ${clock(drain.started)}`)),
      el('td', { class: 'number' }, duration(drain.seconds)),
      el('td', { class: 'number medium' }, count(drain.peak_in_flight)),
      el('td', { class: 'number medium' }, count(drain.arrivals)),
      el('td', { class: 'number medium' }, duration(drain.last_arrival)),
      el('td', { class: 'number wide' }, count(drain.rolls?.length)));
    this.element.addEventListener('click', () => open(drain));
  }

  update(drain, now) {
    setText(this.ago, ago(now - drain.started));
  }
}

/** Bring both up to date; `open` is called with an ended drain that is chosen. */
export function showDrains(store, open) {
  const running = store.running();
  const ended = store.ended();
  arrange(list, cards, running, store.time, (drain) => new Card(drain));
  arrange(body, rows, ended, store.time, (drain) => new Row(drain, open));
  setHidden(byId('nothing-drains'), running.length > 0);
  setHidden(byId('no-drains'), ended.length > 0);
  setHidden(byId('drains'), !ended.length);
}

function arrange(place, known, drains, now, make) {
  const ids = new Set(drains.map((drain) => drain.id));
  for (const id of known.keys()) if (!ids.has(id)) known.delete(id);
  for (const drain of drains) {
    if (!known.has(drain.id)) known.set(drain.id, make(drain));
    known.get(drain.id).update(drain, now);
  }
  const elements = drains.map((drain) => known.get(drain.id).element);
  if (elements.length !== place.children.length || elements.some((e, at) => e !== place.children[at])) {
    place.replaceChildren(...elements);
  }
}
