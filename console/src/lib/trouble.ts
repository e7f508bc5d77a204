// How a group does, in one word, and which one needs looking at first.

import type { GroupStatus, Sample } from './types';

export type Tone = 'ok' | 'warn' | 'bad' | 'idle' | 'info';

export interface Standing {
  tone: Tone;
  text: string;
  /** The greater, the sooner it is to be looked at. */
  urgency: number;
}

/** `errors` and `requests` are means of the last seconds. */
export function standing(sample: Sample, status: GroupStatus | undefined, recent: { requests: number; errors: number }): Standing {
  const serving = status?.targets.filter((target) => target.state !== 'draining' && target.state !== 'unused');
  const total = serving?.length ?? sample.total ?? 0;
  const healthy = status ? (serving ?? []).filter((target) => target.state === 'healthy' || target.state === 'unavailable').length : (sample.healthy ?? 0);
  const failing = recent.requests > 0 ? recent.errors / recent.requests : 0;
  if (status?.targets.length && total === 0) {
    const isDraining = status.targets.some((target) => target.state === 'draining');
    return isDraining ? { tone: 'warn', text: 'draining', urgency: 30 } : { tone: 'idle', text: 'unused', urgency: 0 };
  }
  if (!status && sample.total === undefined) return { tone: 'idle', text: 'idle', urgency: 0 };
  if (total === 0) return { tone: 'idle', text: 'no targets', urgency: 5 };
  const isStarting = serving?.every((target) => target.state === 'initial') ?? false;
  if (isStarting) return { tone: 'info', text: 'starting', urgency: 10 };
  if (healthy === 0) return { tone: 'bad', text: 'none healthy', urgency: 100 };
  if (failing > 0.05) return { tone: 'bad', text: 'errors', urgency: 80 };
  if (healthy < total) return { tone: 'warn', text: `${total - healthy} of ${total} down`, urgency: 60 };
  if (failing > 0.01) return { tone: 'warn', text: 'some errors', urgency: 40 };
  return { tone: 'ok', text: 'healthy', urgency: 0 };
}
