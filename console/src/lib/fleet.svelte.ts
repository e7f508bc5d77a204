// What runs, kept true by what the stream tells: nothing is asked again and again, for each call is an entry of the audit trail.

import { get } from './api';
import { live, type Told } from './live.svelte';
import { Loader } from './loader.svelte';
import { standing, type Standing } from './trouble';
import type { GroupStatus, Status, TargetState } from './types';

const PAUSE_MS = 500;
/** Errors are looked at over this long: one second says little. */
const RECENT_SECONDS = 30;

/**
 * Loads again, a moment later, when one of these is told, however many of them come. To be called while a component is made.
 */
export function reloadOn(loader: { reload(): void }, kinds: Told[], isMeant: (data: Record<string, unknown>) => boolean = () => true): void {
  $effect(() => {
    let soon: ReturnType<typeof setTimeout> | undefined;
    const reload = () => {
      soon = undefined;
      loader.reload();
    };
    const stops = kinds.map((kind) =>
      live.on(kind, (data) => {
        if (isMeant(data)) soon ??= setTimeout(reload, PAUSE_MS);
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
  reloadOn(loader, ['target_state'], (told) => !take(loader, told as unknown as Changed));
  return loader;
}

interface Changed {
  target_group: string;
  target: string;
  state: TargetState;
}

/** Whether a target that is known has got its new state; one that is not has to be asked for. */
function take(loader: Loader<Status>, { target_group: name, target, state }: Changed): boolean {
  const group = loader.data?.target_groups[name];
  if (!loader.data || !group?.targets.some((known) => known.address === target)) return false;
  const targets = group.targets.map((known) => (known.address === target ? { ...known, state } : known));
  loader.set({ ...loader.data, target_groups: { ...loader.data.target_groups, [name]: { ...group, targets } } });
  return true;
}

/** Has the last seconds of groups told, by which `standingOf` goes. To be called while a component is made. */
export function recently(of = 'group/'): void {
  $effect(() => live.want(`${of}@${RECENT_SECONDS}`));
}

/** How a group does, by what is known of its targets and by what the last seconds were like. */
export function standingOf(name: string, status: GroupStatus | undefined): Standing {
  void live.tick;
  const series = live.series(`group/${name}`);
  const recent = { requests: series.recent('requests', RECENT_SECONDS), errors: series.recent('errors', RECENT_SECONDS) };
  return standing(live.now(`group/${name}`), status, recent);
}
