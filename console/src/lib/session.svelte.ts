// Who is signed in. The page never sees the session's secret: that is in a cookie which no script can read.

import { ApiError, call, get, onSessionEnd, problemOf } from './api';
import type { Problem, Session } from './types';

/** `asking` until the program has said; `ended` when a session that was there is there no more. */
type Phase = 'asking' | 'unreachable' | 'signed-out' | 'signed-in' | 'ended';

class SessionStore {
  phase = $state<Phase>('asking');
  now = $state.raw<Session | null>(null);
  problem = $state.raw<Problem | null>(null);
  /** Grows when one signs in: what could not be loaded before is loaded then. */
  epoch = $state(0);

  constructor() {
    onSessionEnd(() => this.#end());
  }

  get isOpen(): boolean {
    return this.now?.auth === 'none';
  }

  get principal(): string {
    return this.now?.principal ?? '';
  }

  async ask(): Promise<void> {
    try {
      this.#is(await get<Session>('/v1/session'));
    } catch (error) {
      this.problem = problemOf(error);
      if (this.phase === 'asking') this.phase = 'unreachable';
    }
  }

  async signIn(asked: { user: string; password: string; code?: string; new_password?: string }): Promise<void> {
    this.#is((await call<Session>('POST', '/v1/session', { body: asked })).data);
  }

  async signOut(): Promise<void> {
    try {
      await call('DELETE', '/v1/session');
    } catch (error) {
      // A session that is gone already is what was wanted.
      if (!(error instanceof ApiError) || error.status !== 401) throw error;
    }
    this.phase = 'signed-out';
    await this.ask();
  }

  #is(session: Session): void {
    const was = this.phase;
    this.problem = null;
    const isIn = session.auth === 'none' || session.principal !== null;
    if (!isIn && (was === 'signed-in' || was === 'ended')) {
      // Who it was stays, for the page underneath is theirs until somebody else signs in.
      this.phase = 'ended';
      return;
    }
    this.now = session;
    this.phase = isIn ? 'signed-in' : 'signed-out';
    if (isIn && was !== 'signed-in') this.epoch += 1;
  }

  #end(): void {
    if (this.phase === 'signed-in') this.phase = 'ended';
  }
}

export const session = new SessionStore();
