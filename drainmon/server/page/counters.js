// How far the kernel's counters can be trusted: what was corrected and missed, and what of it.

import { byId, el } from './dom.js';
import { count } from './format.js';

/** By place of `missed`: what was missed, and when that matters. */
const PLACES = {
  recursion: ['dropped by the kernel', 'numbers may be off until a snapshot corrects them, drains end up to 1 s late'],
  event: ['wake-ups found no room', 'drains may end up to 1 s late'],
  watch: ['wake-ups not set up', 'drains may end up to 1 s late'],
  connection: ['connections without a record', 'their age is not shown'],
  probe: ['probes not recognised', 'they count as traffic, and drains may take longer'],
};

const place = byId('counters');
let shown = '';

/** Bring it up to date with `drift` and `missed` of the daemon's health. */
export function showCounters({ drift, missed }) {
  const lines = Object.entries(missed).filter(([, n]) => n).map(([name, n]) => {
    const [what, matters] = PLACES[name] ?? [`missed (${name})`, 'see the metrics'];
    return `${count(n)} ${what}: ${matters}.`;
  });
  const corrected = drift ? `${count(drift)} ${drift === 1 ? 'connection' : 'connections'} corrected` : 'Nothing corrected';
  const said = lines.length
    ? [`${corrected}. Events missed:`, ...lines, 'Snapshots, not events, decide when a drain has ended.']
    : [`${corrected}, no event missed.`];
  if (said.join() === shown) return;
  shown = said.join();
  place.replaceChildren(...said.map((text) => el('p', {}, text)));
}
