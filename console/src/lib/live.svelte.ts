// What happens, second by second: one stream for the whole page, however many charts it has. Listeners and groups keep fifteen
// minutes; of rules and targets only the newest second is kept, for there may be very many.

import { get, problemOf } from './api';
import { Series } from './series';
import { session } from './session.svelte';
import type { History, Problem, Sample, Session } from './types';

export type Told = 'revision' | 'target_state' | 'reload' | 'missed';

const TOLD: Told[] = ['revision', 'target_state', 'reload', 'missed'];
const IDLE: Sample = {};

class Live {
  /** Grows with each second. */
  tick = $state(0);
  isConnected = $state(false);
  problem = $state.raw<Problem | null>(null);
  #newest = $state.raw<Record<string, Sample>>({});
  #series = new Map<string, Series>();
  #source: EventSource | null = null;
  #followed: string | null = null;
  #told = new Set<{ kind: Told; then: (data: Record<string, unknown>) => void }>();
  #retry: ReturnType<typeof setTimeout> | undefined;
  #wait = 1_000;

  start(): void {
    this.stop();
    const where = this.#followed === null ? '' : `?target_group=${encodeURIComponent(this.#followed)}`;
    const source = new EventSource(`/v1/live${where}`);
    this.#source = source;
    source.addEventListener('history', (event) => this.#remember(JSON.parse(event.data)));
    source.addEventListener('sample', (event) => this.#sample(JSON.parse(event.data)));
    for (const kind of TOLD) source.addEventListener(kind, (event) => this.#tell(kind, event.data));
    source.addEventListener('open', () => {
      this.isConnected = true;
      this.problem = null;
      this.#wait = 1_000;
    });
    source.addEventListener('error', () => {
      this.isConnected = false;
      // A browser tries again by itself unless it was refused.
      if (source.readyState === EventSource.CLOSED) void this.#refused();
    });
  }

  stop(): void {
    clearTimeout(this.#retry);
    this.#source?.close();
    this.#source = null;
    this.isConnected = false;
  }

  /** Has the targets of one group measured, too. */
  follow(group: string | null): void {
    if (group === this.#followed) return;
    this.#followed = group;
    if (this.#source) this.start();
  }

  /** The newest second of a subject, such as `group/web`. */
  now(subject: string): Sample {
    return this.#newest[subject] ?? IDLE;
  }

  /** Whether a second has come yet. */
  get hasBegun(): boolean {
    return this.tick > 0;
  }

  /** Fifteen minutes of a listener or a group. To be read again at each `tick`. */
  series(subject: string): Series {
    let series = this.#series.get(subject);
    if (!series) this.#series.set(subject, (series = new Series()));
    return series;
  }

  /** Calls `then` with each event of a kind, until what is returned is called. */
  on(kind: Told, then: (data: Record<string, unknown>) => void): () => void {
    const entry = { kind, then };
    this.#told.add(entry);
    return () => this.#told.delete(entry);
  }

  #remember(history: History): void {
    for (const [subject, columns] of Object.entries(history.subjects)) {
      if (isKept(subject)) this.series(subject).fill(history.to, columns);
    }
    this.tick += 1;
  }

  #sample({ at, subjects }: { at: number; subjects: Record<string, Sample> }): void {
    for (const subject of Object.keys(subjects)) if (isKept(subject)) this.series(subject);
    for (const [subject, series] of this.#series) series.push(at, subjects[subject] ?? IDLE);
    this.#newest = subjects;
    this.tick += 1;
  }

  #tell(kind: Told, data: string): void {
    const told = JSON.parse(data) as Record<string, unknown>;
    for (const entry of this.#told) if (entry.kind === kind) entry.then(told);
  }

  async #refused(): Promise<void> {
    try {
      const now = await get<Session>('/v1/session');
      if (now.auth === 'required' && now.principal === null) {
        await session.ask();
        return;
      }
      await this.#why();
    } catch (error) {
      this.problem = problemOf(error);
    }
    this.#retry = setTimeout(() => this.start(), this.#wait);
    this.#wait = Math.min(this.#wait * 2, 15_000);
  }

  /** An EventSource does not say why it was refused; a plain call is told. */
  async #why(): Promise<void> {
    const stop = new AbortController();
    try {
      const answer = await fetch('/v1/live', { signal: stop.signal, credentials: 'same-origin' });
      this.problem = answer.ok ? null : ((await answer.json()) as Problem);
    } finally {
      stop.abort();
    }
  }
}

function isKept(subject: string): boolean {
  return subject.startsWith('listener/') || subject.startsWith('group/');
}

export const live = new Live();
