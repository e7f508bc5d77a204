// Calls of the API. A change carries the header that no page of another origin can send; an answer that is a problem is thrown as
// one, so that whoever shows it has its faults with their places.

import type { Origin, Problem } from './types';

export interface Answer<T> {
  data: T;
  status: number;
  etag: string | null;
  origin: Origin | null;
  revision: number | null;
  headers: Headers;
}

export interface Asked {
  query?: Record<string, string | number | boolean | undefined>;
  body?: unknown;
  /** What the caller knew: the change is refused with 412 when something else is there. */
  etag?: string | null | undefined;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

export class ApiError extends Error {
  constructor(
    readonly problem: Problem,
    readonly retryAfter: number | null = null,
  ) {
    super(problem.detail || problem.title);
    this.name = 'ApiError';
  }

  /** The last word of the problem's type, such as `mfa-required`. */
  get kind(): string {
    return this.problem.type.slice(this.problem.type.lastIndexOf(':') + 1);
  }

  get status(): number {
    return this.problem.status;
  }
}

let ended: () => void = () => {};

/** What is done when a call that should be allowed is told that nobody is signed in. */
export function onSessionEnd(then: () => void): void {
  ended = then;
}

/** A path of the API with its names escaped. */
export function path(parts: TemplateStringsArray, ...names: (string | number)[]): string {
  return parts.reduce((whole, part, at) => whole + part + (at < names.length ? encodeURIComponent(names[at] ?? '') : ''), '');
}

export async function call<T>(method: string, where: string, asked: Asked = {}): Promise<Answer<T>> {
  const headers: Record<string, string> = { accept: 'application/json', ...asked.headers };
  if (method !== 'GET') headers['x-headworks-request'] = 'console';
  if (asked.etag) headers['if-match'] = asked.etag;
  const init: RequestInit = { method, headers, credentials: 'same-origin', cache: 'no-store' };
  if (asked.signal) init.signal = asked.signal;
  if (asked.body !== undefined) {
    headers['content-type'] = 'application/json';
    init.body = JSON.stringify(asked.body);
  }
  let response: Response;
  try {
    response = await fetch(where + search(asked.query), init);
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error;
    throw new ApiError(unreachable());
  }
  if (!response.ok) throw await refused(response, where);
  return {
    data: (await content(response)) as T,
    status: response.status,
    etag: response.headers.get('etag'),
    origin: response.headers.get('headworks-origin') as Origin | null,
    revision: Number(response.headers.get('headworks-revision')) || null,
    headers: response.headers,
  };
}

export async function get<T>(where: string, asked?: Asked): Promise<T> {
  return (await call<T>('GET', where, asked)).data;
}

/** All pages of a list: how many there are is bounded by what an instance can have. */
export async function getAll<T>(where: string, key: string, signal: AbortSignal): Promise<Listed<T>> {
  const listed: Listed<T> = { items: {}, meta: {} };
  let after: string | undefined;
  do {
    const page: Record<string, unknown> = await get(where, { query: { limit: 500, after }, signal });
    Object.assign(listed.items, page[key]);
    Object.assign(listed.meta, page['meta']);
    after = page['next'] as string | undefined;
  } while (after !== undefined);
  return listed;
}

export interface Listed<T> {
  items: Record<string, T>;
  meta: Record<string, { origin: Origin; etag: string; revision?: number }>;
}

export function search(query: Asked['query']): string {
  const given = Object.entries(query ?? {}).filter(([, value]) => value !== undefined && value !== '');
  return given.length ? '?' + new URLSearchParams(given.map(([key, value]) => [key, String(value)])) : '';
}

/** Anything that was thrown, as a problem. */
export function problemOf(error: unknown): Problem {
  if (error instanceof ApiError) return error.problem;
  const detail = error instanceof Error ? error.message : String(error);
  return { type: 'about:blank', title: 'Something went wrong in the page', status: 0, detail };
}

async function content(response: Response): Promise<unknown> {
  if (response.status === 204) return null;
  const text = await response.text();
  const kind = response.headers.get('content-type') ?? '';
  return kind.includes('json') && text ? JSON.parse(text) : text;
}

async function refused(response: Response, where: string): Promise<ApiError> {
  let problem: Problem = {
    type: 'about:blank',
    title: response.statusText || 'Refused',
    status: response.status,
    detail: `The program answered ${response.status} to ${where}.`,
  };
  try {
    problem = { ...problem, ...((await response.json()) as Problem) };
  } catch {
    // What is no problem document says no more than its status.
  }
  // To be told so when signing in means that this did not work, not that a session has ended.
  if (response.status === 401 && where !== '/v1/session') ended();
  return new ApiError(problem, Number(response.headers.get('retry-after')) || null);
}

function unreachable(): Problem {
  return {
    type: 'about:blank',
    title: 'Not reachable',
    status: 0,
    detail: 'The program does not answer on its admin address. See whether it runs: headworks ready -c FILE',
  };
}
