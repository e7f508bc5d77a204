// What runs, kept true by what the stream tells: nothing is asked again and again, for each call is an entry of the audit trail.

import { get } from './api';
import { live } from './live.svelte';
import { Loader } from './loader.svelte';
import type { Status, TargetState } from './types';

const PAUSE_MS = 300;

/** Loads again, a moment later, when one of these is told. To be called while a component is made. */
export function reloadOn(loader: { reload(): void }, kinds: ('revision' | 'reload' | 'missed' | 'target_state')[], isMeant: (data: Record<string, unknown>) => boolean = () => true): void {
  $effect(() => {
    let soon: ReturnType<typeof setTimeout> | undefined;
    const stops = kinds.map((kind) =>
      live.on(kind, (data) => {
        if (!isMeant(data)) return;
        clearTimeout(soon);
        soon = setTimeout(() => loader.reload(), PAUSE_MS);
      }),
    );
    return () => {
      clearTimeout(soon);
      for (const stop of stops) stop();
    };
  });
}

/** What `/v1/status` says, with the states of targets as they change. To be called while a component is made. */
export function status(): Loader<Status> {
  const loader = new Loader<Status>((signal) => get('/v1/status', { signal }));
  reloadOn(loader, ['revision', 'reload', 'missed']);
  $effect(() =>
    live.on('target_state', (told) => {
      const { target_group: name, target, state } = told as { target_group: string; target: string; state: TargetState };
      const group = loader.data?.target_groups[name];
      if (!loader.data || !group) return;
      if (!group.targets.some((known) => known.address === target)) return loader.reload();
      const targets = group.targets.map((known) => (known.address === target ? { ...known, state } : known));
      loader.set({ ...loader.data, target_groups: { ...loader.data.target_groups, [name]: { ...group, targets } } });
    }),
  );
  return loader;
}
