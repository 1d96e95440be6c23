// The order of the pods: by a column, or draining and busy ones first. Pure.

const collator = new Intl.Collator('en', { numeric: true });

/** Samples over which a pod's load is averaged. */
const STEADY = 10;

const byName = (a, b) => collator.compare(a.pod, b.pod);

const columns = {
  name: byName,
  in_flight: (a, b) => a.in_flight - b.in_flight,
  rate: (a, b) => (a.rate ?? -1) - (b.rate ?? -1),
  arrivals: (a, b) => a.arrivals - b.arrivals,
};

/** Connections in flight plus arrivals per second: a pod with short requests is busy too. */
function loadOf({ history }) {
  const mean = (column) => {
    const known = column.slice(-STEADY).filter((value) => value !== null);
    return known.reduce((sum, value) => sum + value, 0) / (known.length || 1);
  };
  return mean(history.columns[1]) + mean(history.columns[2]);
}

/** Less than this is no reason to change places: rows would jump each second. */
const clearlyMore = (a, b) => a > 1.5 * b + 2;

export class Order {
  /** The column that the user has chosen; without one, draining and busy pods come first. */
  by = null;
  descending = false;
  #last = null;

  /** A column's header is pressed: sorted, the other way round, no longer. */
  press(by) {
    const first = by !== 'name';  // of numbers the largest come first
    if (this.by !== by) Object.assign(this, { by, descending: first });
    else if (this.descending === first) this.descending = !first;
    else Object.assign(this, { by: null, descending: false });
    this.#last = null;
  }

  /** All pods in order. While `held`, those that are known keep their places. */
  sort(pods, held) {
    if (held && this.#last) this.#last = this.#known(pods).concat(this.#fresh(pods));
    else if (this.by) this.#last = pods.sort(this.#byColumn());
    else this.#last = this.#byUrgency(pods);
    return this.#last;
  }

  #known(pods) {
    const present = new Set(pods);
    return (this.#last ?? []).filter((pod) => present.has(pod));
  }

  #fresh(pods) {
    const known = new Set(this.#last);
    return pods.filter((pod) => !known.has(pod));
  }

  #byColumn() {
    const sign = this.descending ? -1 : 1;
    return (a, b) => sign * columns[this.by](a, b) || byName(a, b);
  }

  #byUrgency(pods) {
    const loads = new Map(pods.map((pod) => [pod, loadOf(pod)]));
    const draining = (a, b) => Boolean(b.drain) - Boolean(a.drain);
    const exactly = (a, b) => draining(a, b) || loads.get(b) - loads.get(a) || byName(a, b);
    if (!this.#last) return pods.sort(exactly);
    const order = this.#known(pods);
    for (const pod of this.#fresh(pods)) {
      const at = order.findIndex((other) => exactly(pod, other) < 0);
      order.splice(at < 0 ? order.length : at, 0, pod);
    }
    const overtakes = (a, b) => draining(a, b) < 0
      || (draining(a, b) === 0 && clearlyMore(loads.get(a), loads.get(b)));
    for (let at = 1; at < order.length; at += 1) {
      for (let to = at; to > 0 && overtakes(order[to], order[to - 1]); to -= 1) {
        [order[to - 1], order[to]] = [order[to], order[to - 1]];
      }
    }
    return order;
  }
}
