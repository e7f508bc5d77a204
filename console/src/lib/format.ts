// Numbers, times and names, as people read them.

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat('en', { maximumFractionDigits: 1 });
const fine = new Intl.NumberFormat('en', { maximumSignificantDigits: 3 });

export function count(value: number): string {
  if (value >= 1e9) return `${fine.format(value / 1e9)} G`;
  if (value >= 1e6) return `${fine.format(value / 1e6)} M`;
  if (value >= 1e5) return `${fine.format(value / 1e3)} k`;
  return whole.format(value);
}

/** A rate per second: small ones with a digit behind the point. */
export function rate(value: number): string {
  if (value > 0 && value < 0.05) return '<0.1';
  return value >= 10 ? count(value) : tenths.format(value);
}

/** Milliseconds. */
export function latency(value: number | null | undefined): string {
  if (value === null || value === undefined) return '–';
  if (value >= 10_000) return `${fine.format(value / 1000)} s`;
  return value >= 100 ? `${whole.format(value)} ms` : `${fine.format(value)} ms`;
}

export function bytes(value: number): string {
  if (value >= 1024 ** 3) return `${fine.format(value / 1024 ** 3)} GiB`;
  if (value >= 1024 ** 2) return `${fine.format(value / 1024 ** 2)} MiB`;
  if (value >= 1024) return `${fine.format(value / 1024)} KiB`;
  return `${whole.format(value)} B`;
}

/** A share from 0 to 1. Few are never shown as none, nor nearly all as all. */
export function share(value: number): string {
  const percent = value * 100;
  if (percent > 0 && percent < 0.1) return '<0.1 %';
  if (percent < 100 && percent > 99.9) return '>99.9 %';
  return `${percent >= 10 || percent === 0 ? Math.round(percent * 10) / 10 : Math.round(percent * 100) / 100} %`;
}

const stamp = new Intl.DateTimeFormat('en-GB', {
  year: 'numeric',
  month: '2-digit',
  day: '2-digit',
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
});

/** A moment in the reader's own time zone: `2026-11-29 19:33:24`. */
export function time(at: string | number): string {
  const part = Object.fromEntries(stamp.formatToParts(new Date(at)).map(({ type, value }) => [type, value]));
  return `${part['year']}-${part['month']}-${part['day']} ${part['hour']}:${part['minute']}:${part['second']}`;
}

export function date(at: string | number): string {
  return time(at).slice(0, 10);
}

/** A moment as the fields for one take it, to the minute in the reader's own time zone; nothing for what is none. */
export function localMinute(at: string): string {
  return Number.isNaN(Date.parse(at)) ? '' : time(at).slice(0, 16).replace(' ', 'T');
}

/** What such a field has, as the API takes it. */
export function moment(local: string): string {
  return local && new Date(local).toISOString();
}

const relative = new Intl.RelativeTimeFormat('en', { numeric: 'auto' });

/** How long ago or how far ahead: `3 hours ago`. */
export function ago(at: string | number, now = Date.now()): string {
  const seconds = (new Date(at).getTime() - now) / 1000;
  const size = Math.abs(seconds);
  if (size < 60) return relative.format(Math.round(seconds), 'second');
  if (size < 3600) return relative.format(Math.round(seconds / 60), 'minute');
  if (size < 86_400) return relative.format(Math.round(seconds / 3600), 'hour');
  return relative.format(Math.round(seconds / 86_400), 'day');
}

export function days(until: string, now = Date.now()): number {
  return Math.floor((new Date(until).getTime() - now) / 86_400_000);
}

/** What comes behind `hrn:headworks:`: the part that differs. */
export function shortName(hrn: string): string {
  return hrn.replace(/^hrn:headworks:/, '');
}

export function plural(number: number, one: string, many = `${one}s`): string {
  return `${whole.format(number)} ${number === 1 ? one : many}`;
}
