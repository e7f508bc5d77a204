// Fifteen minutes of one subject, a value a second, in the columns that charts draw.

import type { Column, Sample } from './types';

export const KEPT_SECONDS = 900;

const COUNTS: Column[] = ['requests', 'errors', 'active', 'received', 'sent'];
const LATENCIES: Column[] = ['p50', 'p95', 'p99'];

type Values = (number | null)[];

export class Series {
  readonly at: number[] = [];
  readonly columns: Record<Column, Values> = {
    requests: [],
    errors: [],
    p50: [],
    p95: [],
    p99: [],
    active: [],
    received: [],
    sent: [],
  };

  /** Takes what was before; `to` is the second of the last value. What is known and goes back further stays, and goes on. */
  take(to: number, given: Partial<Record<Column, Values>>): void {
    const told = Math.min(KEPT_SECONDS, Math.max(0, ...Object.values(given).map((values) => values.length)));
    const [first, last] = [this.at[0], this.at.at(-1)];
    const isLonger = first === undefined || last === undefined || to - told < first;
    const length = isLonger ? told : Math.max(0, Math.min(told, to - last));
    const start = isLonger ? 0 : this.at.length;
    replace(this.at, start, Array.from({ length }, (_, n) => to - length + 1 + n));
    for (const column of [...COUNTS, ...LATENCIES]) {
      const values = given[column] ?? [];
      const missing = LATENCIES.includes(column) ? null : 0;
      replace(this.columns[column], start, Array.from({ length }, (_, n) => values[values.length - length + n] ?? missing));
    }
  }

  /** Takes the next second; what is older than `kept` seconds leaves. */
  push(at: number, sample: Sample, kept = KEPT_SECONDS): void {
    const last = this.at.at(-1);
    if (last !== undefined && at <= last) return;
    this.at.push(at);
    for (const column of COUNTS) this.columns[column].push((sample[column] as number | undefined) ?? 0);
    for (const column of LATENCIES) this.columns[column].push((sample[column] as number | null | undefined) ?? null);
    const old = this.at.length - kept;
    if (old > 0) for (const values of [this.at, ...Object.values(this.columns)]) values.splice(0, old);
  }

  /** The mean of the last `seconds`, of those that had a value. */
  recent(column: Column, seconds: number): number {
    const values = this.columns[column].slice(-seconds).filter((value) => value !== null);
    return values.length ? values.reduce((sum, value) => sum + value, 0) / values.length : 0;
  }

  /** The newest value there is, looking back for at most `seconds`. */
  last(column: Column, seconds = 10): number | null {
    return this.columns[column].slice(-seconds).findLast((value) => value !== null) ?? null;
  }
}

function replace(into: (number | null)[], from: number, by: (number | null)[]): void {
  into.splice(from, into.length - from, ...by);
}
