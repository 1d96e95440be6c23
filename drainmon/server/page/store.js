// What the page knows of the node: the daemon's frames put together, and the last minutes of each
// pod. Pure; nothing here draws.

/** Seconds of history, and samples kept of it. */
export const HISTORY = 180;

const SHORTEST = 20;

/** Seconds between two frames from which on a chart shows a gap. */
const GAP = 4;

/** The last samples of one line or several, as arrays that a chart takes. */
class Series {
  constructor(width) {
    this.columns = Array.from({ length: width }, () => []);
  }

  push(time, values) {
    const times = this.columns[0];
    if (times.length && time - times.at(-1) > GAP) this.#append([times.at(-1) + 1, ...values.map(() => null)]);
    this.#append([time, ...values]);
    while (times[0] < time - HISTORY) for (const column of this.columns) column.shift();
  }

  #append(row) {
    row.forEach((value, index) => this.columns[index].push(value));
  }
}

export class Store {
  constructor() {
    this.time = 0;
    this.since = 0;
    this.health = {};
    this.node = '';
    this.pods = new Map();
    this.drains = new Map();
    this.history = new Series(3);
    this.inFlight = 0;
    this.rate = null;
  }

  /** Take over one frame of /v1/events. */
  apply(frame) {
    const elapsed = this.time && frame.time - this.time;
    this.since ||= frame.time;
    Object.assign(this, { time: frame.time, health: frame.health, node: frame.node });
    merge(this.drains, frame.drains, frame.gone_drains, frame.full);
    merge(this.pods, frame.pods, frame.gone_pods, frame.full);
    this.inFlight = 0;
    this.rate = elapsed ? 0 : null;
    for (const pod of this.pods.values()) {
      const before = pod.arrivals;
      pod.arrivals = pod.accepted - pod.probes_accepted;
      pod.rate = rate(pod.arrivals - before, elapsed);
      pod.history ??= new Series(3);
      pod.history.push(frame.time, [pod.in_flight, pod.rate]);
      this.inFlight += pod.in_flight;
      if (pod.rate !== null) this.rate += pod.rate;
    }
    this.history.push(frame.time, [this.inFlight, this.rate]);
    const running = new Map(this.running().map((drain) => [nameOf(drain), drain]));
    for (const pod of this.pods.values()) pod.drain = running.get(nameOf(pod));
  }

  /** The time that the charts show: short at first, so that there is something to see. */
  span() {
    return [Math.max(this.time - HISTORY, Math.min(this.since, this.time - SHORTEST)), this.time];
  }

  running() {
    return [...this.drains.values()].filter((drain) => drain.result == null)
      .sort((a, b) => a.started - b.started);
  }

  ended() {
    return [...this.drains.values()].filter((drain) => drain.result != null)
      .sort((a, b) => b.started - a.started);
  }
}

/** What a pod and its drain have in common. */
const nameOf = ({ netns, pod }) => `${netns} ${pod}`;

/** The phase that a drain is in. */
export const phaseOf = (drain) => drain.phases.at(-1)?.[0] ?? 'settling';

function rate(arrived, elapsed) {
  return elapsed > 0 && arrived >= 0 ? arrived / elapsed : null;
}

/** Updates known things, and drops those that are gone. A
restarted daemon numbers its pods anew: one with another name is another pod. */
function merge(known, changed, gone, full) {
  for (const id of full ? [...known.keys()].filter((id) => !(id in changed)) : gone) known.delete(id);
  for (const [id, thing] of Object.entries(changed)) {
    const old = known.get(id);
    if (old && old.pod === thing.pod && old.netns === thing.netns) Object.assign(old, thing);
    else known.set(id, { ...thing, id });
  }
}
