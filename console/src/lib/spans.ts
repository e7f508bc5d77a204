// What of the last fifteen minutes the charts of a page need, as `/v1/live` is asked for it: a subject, or what the names of many
// begin with, and behind `@` how many seconds. What was told goes on by itself from then on, as long as it is wanted.

import { KEPT_SECONDS } from './series';

/** The most that is asked for at once; what is more comes next. */
const MOST = 12;
/** So many seconds are kept of what nobody has asked for. */
export const RECENT_SECONDS = 60;

interface Span {
  of: string;
  seconds: number;
}

export class Spans {
  #wanted = new Map<string, number>();
  #told = new Set<string>();

  want(span: string): void {
    this.#wanted.set(span, (this.#wanted.get(span) ?? 0) + 1);
  }

  unwant(span: string): void {
    const others = (this.#wanted.get(span) ?? 0) - 1;
    if (others > 0) {
      this.#wanted.set(span, others);
    } else {
      this.#wanted.delete(span);
      this.#told.delete(span);
    }
  }

  /** What is wanted, was not told, and is to be asked for next. */
  missing(): string[] {
    return [...this.#wanted.keys()].filter((span) => !this.#told.has(span)).slice(0, MOST);
  }

  told(spans: string[]): void {
    for (const span of spans) if (this.#wanted.has(span)) this.#told.add(span);
  }

  /** What was told has not gone on since, and is to be told again. */
  forget(): void {
    this.#told.clear();
  }

  /** How many seconds are to be kept of a subject. */
  kept(subject: string): number {
    let most = RECENT_SECONDS;
    for (const { of, seconds } of [...this.#wanted.keys()].map(parsed)) if (subject.startsWith(of)) most = Math.max(most, seconds);
    return most;
  }
}

function parsed(span: string): Span {
  const [of = '', seconds] = span.split('@', 2);
  return { of, seconds: seconds === undefined ? KEPT_SECONDS : Number(seconds) };
}
