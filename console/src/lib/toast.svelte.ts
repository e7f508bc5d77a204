// What has just happened, said once at the edge of the page.

import { problemOf } from './api';

export interface Toast {
  id: number;
  kind: 'done' | 'failed';
  text: string;
  action?: { label: string; run: () => void | Promise<void> };
}

const SHORT_MS = 6_000;

class Toasts {
  all = $state<Toast[]>([]);
  #next = 1;

  done(text: string, action?: Toast['action']): number {
    return this.#add({ kind: 'done', text, ...(action ? { action } : {}) });
  }

  failed(error: unknown): number {
    return this.#add({ kind: 'failed', text: problemOf(error).detail });
  }

  dismiss(id: number): void {
    this.all = this.all.filter((toast) => toast.id !== id);
  }

  #add(toast: Omit<Toast, 'id'>): number {
    const id = this.#next++;
    this.all = [...this.all.slice(-3), { ...toast, id }];
    // What can be acted on, and what went wrong, waits for its reader.
    if (toast.kind === 'done' && !toast.action) setTimeout(() => this.dismiss(id), SHORT_MS);
    return id;
  }
}

export const toasts = new Toasts();
