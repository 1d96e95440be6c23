// Numbers, times and states as people read them. Pure.

const whole = new Intl.NumberFormat('en');
const compact = new Intl.NumberFormat('en', { notation: 'compact' });
const clockTime = new Intl.DateTimeFormat(undefined, {
  hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23',
});
const dayAndTime = new Intl.DateTimeFormat(undefined, {
  dateStyle: 'medium', timeStyle: 'medium', hourCycle: 'h23',
});

export const NONE = '–';

export const count = (n) => (n == null ? NONE : whole.format(n));

/** A label of an axis: 500, 2K, 1.5M */
export const brief = (n) => compact.format(n);

/** Connections per second: small ones with a decimal. */
export function rate(n) {
  if (n == null) return NONE;
  return n > 0 && n < 9.95 ? n.toFixed(1) : count(Math.round(n));
}

/** Seconds: 9.1 s, 2 min 5 s, 3 h 4 min. */
export function duration(seconds) {
  if (seconds == null) return NONE;
  if (seconds < 59.95) return `${Math.max(0, seconds).toFixed(1)} s`;
  const minutes = Math.floor((seconds + 0.05) / 60);
  const rest = Math.floor((seconds + 0.05) % 60);
  if (minutes < 60) return `${minutes} min${rest ? ` ${rest} s` : ''}`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** A duration that somebody has set: without decimals where there are none. */
export const limit = (seconds) => (seconds < 60 ? `${+seconds.toFixed(1)} s` : duration(seconds));

/** The time of day of Unix seconds. */
export const clock = (when) => clockTime.format(when * 1000);

export const dateAndTime = (when) => dayAndTime.format(when * 1000);

/** How long ago something was, roughly. */
export function ago(seconds) {
  if (seconds < 60) return 'just now';
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86400)} d ago`;
}

/** What a pod is called: 12 digits of a container ID, as docker and podman show it. */
export const shortName = (label) => (/^[0-9a-f]{64}$/.test(label) ? label.slice(0, 12) : label);

export function bytes(n) {
  if (n == null) return NONE;
  for (const unit of ['B', 'KB', 'MB', 'GB']) {
    if (n < 1000 || unit === 'GB') return `${n < 10 && unit !== 'B' ? n.toFixed(1) : Math.round(n)} ${unit}`;
    n /= 1000;
  }
}

/** ESTABLISHED 12, FIN_WAIT1 2 */
export function states(byState) {
  return Object.entries(byState ?? {}).map(([state, n]) => `${state} ${count(n)}`).join(', ') || NONE;
}
