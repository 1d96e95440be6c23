// The page put together: frames go into the store, the store is shown.

import { byId, setHidden, setText } from './dom.js';
import { clock, count, rate, shortName } from './format.js';
import { Store } from './store.js';
import { chart } from './charts.js';
import { showCounters } from './counters.js';
import { follow } from './feed.js';
import { listen, showPods } from './pods.js';
import { showDrains } from './drains.js';
import { openDrain, openPod } from './detail.js';

const store = new Store();
const seen = new Map();
let updateDetail = () => {};

const figures = [
  { place: byId('in-flight'), column: 1, name: 'flight', value: () => count(store.inFlight) },
  { place: byId('arrivals'), column: 2, name: 'arrivals', value: () => rate(store.rate) },
].map((figure) => ({
  ...figure,
  chart: chart(figure.place.querySelector('.chart'), () => [store.history.columns[0], store.history.columns[figure.column]], () => store.span(), figure.name),
}));

function showFigures() {
  for (const { place, column, value, chart } of figures) {
    setText(place.querySelector('.value'), value());
    const most = Math.max(0, ...store.history.columns[column]);
    place.querySelector('.chart').setAttribute('aria-label', `The last minutes: ${rate(most)} at the most`);
    chart.update();
  }
  const { status, source, version, refused } = store.health;
  setText(byId('pod-count'), count(store.pods.size));
  setText(byId('draining-count'), count(store.running().length));
  showCounters(store.health);
  setText(byId('about'), `source ${source} · ${version}`);
  setText(byId('node'), store.node);
  setHidden(byId('notice'), status === 'ok');
  const why = Object.entries(refused).map(([name, reason]) => `${name}: ${reason}`).join('; ');
  setText(byId('notice'), status === 'ok' ? '' : `Degraded: counts come from ${source}. ${why}`);
}

/** Report to screen readers what begins and ends. */
function reportNews() {
  const news = [];
  for (const { id, pod, result } of store.drains.values()) {
    if (seen.size && seen.get(id) !== result) {
      const name = shortName(pod);
      news.push(result ? `Drain of ${name} ended: ${result}.` : `Drain of ${name} began.`);
    }
  }
  seen.clear();
  seen.set('', null);
  for (const { id, result } of store.drains.values()) seen.set(id, result);
  if (news.length) setText(byId('news'), news.slice(0, 3).join(' '));
}

function choosePod(id) {
  updateDetail = openPod(store.pods.get(id), store);
}

function show() {
  const draining = store.running().length;
  document.title = `${draining ? `(${draining} draining) ` : ''}${store.node} · drainmon`;
  showFigures();
  showDrains(store, openDrain);
  showPods(store, choosePod);
  reportNews();
  updateDetail();
}

function says(state) {
  if (state !== 'lost') return state;
  return `connection lost${store.time ? ` at ${clock(store.time)}` : ''}, trying again`;
}

/** Numbers that are no longer true are dimmed until the next frame. */
function showState(state) {
  const status = byId('status');
  const was = status.dataset.state;
  if (state === was || (state === 'connecting' && was === 'lost')) return;
  status.dataset.state = state;
  setText(status, says(state));
  document.body.classList.toggle('stale', state !== 'live' && store.time > 0);
}

listen(store, choosePod);
follow('v1/events', (frame) => {
  store.apply(frame);
  show();
}, showState);
