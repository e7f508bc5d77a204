// Something that is being edited, judged by the program a moment after it was last touched (`dry_run`).

import { problemOf } from './api';
import type { Preview, Problem } from './types';

export type Judge = (value: unknown, signal: AbortSignal) => Promise<Preview | null>;

// Each time it is asked is an entry of the audit trail: not at every key.
const PAUSE_MS = 450;

export class Judged {
  problem = $state.raw<Problem | null>(null);
  preview = $state.raw<Preview | null>(null);
  isJudging = $state(false);
  /** Whether the program has nothing against it as it is now. */
  isSound = $state(false);

  /**
   * `value` is what is edited; undefined while it is nothing that could be judged. To be made while a component is.
   */
  constructor(value: () => unknown, judge: () => Judge | undefined) {
    $effect(() => {
      const now = value();
      const ask = judge();
      this.isSound = now !== undefined && !ask;
      if (now === undefined || !ask) {
        this.preview = this.problem = null;
        return;
      }
      const stop = new AbortController();
      this.isJudging = true;
      const soon = setTimeout(() => void this.#ask(ask(now, stop.signal), stop.signal), PAUSE_MS);
      return () => {
        clearTimeout(soon);
        stop.abort();
        this.isJudging = false;
      };
    });
  }

  async #ask(asking: Promise<Preview | null>, signal: AbortSignal): Promise<void> {
    try {
      const preview = await asking;
      if (signal.aborted) return;
      [this.preview, this.problem, this.isSound] = [preview, null, true];
    } catch (error) {
      if (signal.aborted) return;
      [this.preview, this.problem] = [null, problemOf(error)];
    }
    this.isJudging = false;
  }
}
