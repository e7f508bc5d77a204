// What happens, second by second: one stream for the whole page, however many charts it has. Of listeners and groups that a chart
// wants fifteen minutes are asked for, and kept; of others a minute; of rules and targets only the newest second, for there may be
// very many.

import { get, problemOf } from './api';
import { Series } from './series';
import { session } from './session.svelte';
import { RECENT_SECONDS, Spans } from './spans';
import type { History, Problem, Sample, Session } from './types';

export type Told = 'revision' | 'target_state' | 'reload' | 'missed';

const TOLD: Told[] = ['revision', 'target_state', 'reload', 'missed'];
const IDLE: Sample = {};
/** What a page wants is asked for at once, when all of its parts have said so. */
const SETTLE_MS = 50;
/** Between attempts to get a stream back that was lost. */
const PAUSE_MS = 2_000;

class Live {
  /** Grows with each second. */
  tick = $state(0);
  isConnected = $state(false);
  problem = $state.raw<Problem | null>(null);
  #newest = $state.raw<Record<string, Sample>>({});
  #series = new Map<string, Series>();
  #source: EventSource | null = null;
  /** A stream that is to take the place of the one there is, once it begins. */
  #next: EventSource | null = null;
  #spans = new Spans();
  /** When the newest second came: what is missing from then on is asked for with another stream. */
  #came = 0;
  #followed: string | null = null;
  #asked: string | null = null;
  #settling: ReturnType<typeof setTimeout> | undefined;
  #told = new Set<{ kind: Told; then: (data: Record<string, unknown>) => void }>();
  #retry: ReturnType<typeof setTimeout> | undefined;
  #wait = 1_000;

  start(): void {
    this.stop();
    this.#open();
  }

  stop(): void {
    clearTimeout(this.#retry);
    clearTimeout(this.#settling);
    this.#source?.close();
    this.#next?.close();
    this.#source = this.#next = null;
    this.isConnected = false;
  }

  /** Has the targets of one group measured, too. */
  follow(group: string | null): void {
    if (group === this.#followed) return;
    this.#followed = group;
    this.#settle();
  }

  /** Has what was of a subject told, as `listener/edge/http` or `group/@30`, until what is returned is called. */
  want(span: string): () => void {
    this.#spans.want(span);
    this.#settle();
    return () => this.#spans.unwant(span);
  }

  /** Another stream, if what is wanted now is not what this one tells. */
  #settle(): void {
    clearTimeout(this.#settling);
    this.#settling = setTimeout(() => {
      const isOther = this.#followed !== this.#asked || this.#spans.missing().length > 0;
      if (isOther && (this.#source || this.#next)) this.#open();
    }, SETTLE_MS);
  }

  #open(): void {
    this.#next?.close();
    const gap = this.#came ? Math.ceil((Date.now() - this.#came) / 1_000) + 2 : 0;
    // of a machine that slept, more is missing than is worth asking of what no chart shows
    if (gap > RECENT_SECONDS) this.#spans.forget();
    const asked = this.#spans.missing();
    const where = new URLSearchParams(asked.map((span) => ['history', span]));
    const missed = Math.min(RECENT_SECONDS, gap);
    for (const of of missed ? ['listener/', 'group/'] : ['']) where.append('history', `${of}@${missed}`);
    if (this.#followed !== null) where.set('target_group', this.#followed);
    this.#asked = this.#followed;
    const source = new EventSource(`/v1/live?${where}`);
    this.#next = source;
    source.addEventListener('history', (event) => this.#remember(JSON.parse(event.data)));
    source.addEventListener('sample', (event) => {
      // what was is told before what is
      this.#spans.told(asked);
      this.#sample(JSON.parse(event.data));
      if (asked.splice(0).length && this.#spans.missing().length) this.#settle();
    });
    for (const kind of TOLD) source.addEventListener(kind, (event) => this.#tell(kind, event.data));
    source.addEventListener('open', () => {
      // what happened meanwhile nobody has told
      if (!this.#source && this.#came) this.#tell('missed', '{}');
      this.#source?.close();
      this.#source = source;
      this.#next = null;
      this.isConnected = true;
      this.problem = null;
      this.#wait = 1_000;
    });
    source.addEventListener('error', () => this.#lost(source));
  }

  /** A browser would ask by itself for all that it was told already. */
  #lost(source: EventSource): void {
    const wasRefused = source.readyState === EventSource.CLOSED;
    this.stop();
    if (wasRefused) void this.#refused();
    else this.#retry = setTimeout(() => this.start(), PAUSE_MS);
  }

  /** The newest second of a subject, such as `group/web`. */
  now(subject: string): Sample {
    return this.#newest[subject] ?? IDLE;
  }

  /** Whether a second has come yet. */
  get hasBegun(): boolean {
    return this.tick > 0;
  }

  /** What is kept of a listener or a group. To be read again at each `tick`. */
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
      if (isKept(subject)) this.series(subject).take(history.to, columns);
    }
    this.tick += 1;
  }

  #sample({ at, subjects }: { at: number; subjects: Record<string, Sample> }): void {
    for (const subject of Object.keys(subjects)) if (isKept(subject)) this.series(subject);
    for (const [subject, series] of this.#series) series.push(at, subjects[subject] ?? IDLE, this.#spans.kept(subject));
    this.#came = Date.now();
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
      const answer = await fetch('/v1/live?history=@0', { signal: stop.signal, credentials: 'same-origin' });
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
