// What a page has loaded. What is there already stays in sight while it is loaded again, so that nothing jumps.

import { untrack } from 'svelte';
import { problemOf } from './api';
import { session } from './session.svelte';
import type { Problem } from './types';

export class Loader<T> {
  data = $state.raw<T | undefined>(undefined);
  problem = $state.raw<Problem | null>(null);
  isLoading = $state(true);
  #again = $state(0);

  /**
   * Loads now, and again whenever what `fetcher` reads before its first wait changes. To be made while a component is.
   */
  constructor(fetcher: (signal: AbortSignal) => Promise<T>) {
    $effect(() => {
      void this.#again;
      void session.epoch;
      const stop = new AbortController();
      untrack(() => (this.isLoading = true));
      this.#follow(fetcher(stop.signal), stop.signal);
      return () => stop.abort();
    });
  }

  reload(): void {
    this.#again += 1;
  }

  /** Takes what a change has answered, without asking again. */
  set(data: T): void {
    this.data = data;
    this.problem = null;
  }

  async #follow(loading: Promise<T>, signal: AbortSignal): Promise<void> {
    try {
      const data = await loading;
      if (signal.aborted) return;
      this.data = data;
      this.problem = null;
    } catch (error) {
      if (signal.aborted) return;
      this.problem = problemOf(error);
    }
    this.isLoading = false;
  }
}
