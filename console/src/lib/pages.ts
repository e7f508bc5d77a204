// Which page an address names. Each is fetched when it is first gone to; of all others, the first waits for nothing.

import type { Component } from 'svelte';

type Load = () => Promise<{ default: Component<Record<string, string>> }>;

export interface Found {
  load: Load;
  /** What the pattern's `:names` stand for. */
  names: Record<string, string>;
  key: string;
}

// Pages take what their pattern names as texts: that is checked by each page's own types, not by this table.
const page = (load: () => Promise<unknown>) => load as Load;

const PAGES: [pattern: string, load: Load][] = [
  ['map', page(() => import('../pages/map/MapPage.svelte'))],
  ['new/:plural', page(() => import('../pages/resources/NewPage.svelte'))],
  ['load-balancers', page(() => import('../pages/load-balancers/LoadBalancersPage.svelte'))],
  ['load-balancers/:name', page(() => import('../pages/load-balancers/LoadBalancerPage.svelte'))],
  ['load-balancers/:balancer/listeners/:listener', page(() => import('../pages/load-balancers/ListenerPage.svelte'))],
  ['load-balancers/:balancer/listeners/:listener/:part', page(() => import('../pages/load-balancers/ListenerPage.svelte'))],
  ['target-groups', page(() => import('../pages/target-groups/TargetGroupsPage.svelte'))],
  ['target-groups/:name', page(() => import('../pages/target-groups/TargetGroupPage.svelte'))],
  ['target-groups/:name/:part', page(() => import('../pages/target-groups/TargetGroupPage.svelte'))],
];

export function find(parts: string[]): Found | null {
  for (const [pattern, load] of PAGES) {
    const names = match(pattern.split('/'), parts);
    if (names) return { load, names, key: pattern + JSON.stringify(names) };
  }
  return null;
}

function match(pattern: string[], parts: string[]): Record<string, string> | null {
  if (pattern.length !== parts.length) return null;
  const names: Record<string, string> = {};
  for (const [n, word] of pattern.entries()) {
    const part = parts[n] ?? '';
    if (word.startsWith(':')) names[word.slice(1)] = part;
    else if (word !== part) return null;
  }
  return names;
}
