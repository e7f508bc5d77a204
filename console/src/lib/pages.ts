// Which page an address names. Each is fetched when it is first gone to; of all others, the first waits for nothing.

import type { Component } from 'svelte';

type Load = () => Promise<{ default: Component<Record<string, string>> }>;

export interface Found {
  load: Load;
  /** What the pattern's `:names` stand for; `:name(one|other)` is one of these. */
  names: Record<string, string>;
  key: string;
}

// Pages take what their pattern names as texts: that is checked by each page's own types, not by this table.
const page = (load: () => Promise<unknown>) => load as Load;

const PAGES: [pattern: string, load: Load][] = [
  ['map', page(() => import('../pages/map/MapPage.svelte'))],
  ['new/:plural(load-balancers|target-groups|certificates|security-groups|network-acls)', page(() => import('../pages/resources/NewPage.svelte'))],
  ['load-balancers', page(() => import('../pages/load-balancers/LoadBalancersPage.svelte'))],
  ['load-balancers/:name', page(() => import('../pages/load-balancers/LoadBalancerPage.svelte'))],
  ['load-balancers/:balancer/listeners/:listener', page(() => import('../pages/load-balancers/ListenerPage.svelte'))],
  ['load-balancers/:balancer/listeners/:listener/:part', page(() => import('../pages/load-balancers/ListenerPage.svelte'))],
  ['target-groups', page(() => import('../pages/target-groups/TargetGroupsPage.svelte'))],
  ['target-groups/:name', page(() => import('../pages/target-groups/TargetGroupPage.svelte'))],
  ['target-groups/:name/:part', page(() => import('../pages/target-groups/TargetGroupPage.svelte'))],
  ['certificates', page(() => import('../pages/certificates/CertificatesPage.svelte'))],
  ['guards', page(() => import('../pages/guards/GuardsPage.svelte'))],
  ['revisions', page(() => import('../pages/revisions/RevisionsPage.svelte'))],
  ['revisions/:revision', page(() => import('../pages/revisions/RevisionPage.svelte'))],
  ['audit', page(() => import('../pages/audit/AuditPage.svelte'))],
  ['identities', page(() => import('../pages/identities/IdentitiesPage.svelte'))],
  ['identities/:tab', page(() => import('../pages/identities/IdentitiesPage.svelte'))],
  ['identities/users/:name', page(() => import('../pages/identities/UserPage.svelte'))],
  ['identities/groups/:name', page(() => import('../pages/identities/GroupPage.svelte'))],
  ['identities/roles/:name', page(() => import('../pages/identities/RolePage.svelte'))],
  ['identities/policies/:name', page(() => import('../pages/identities/PolicyPage.svelte'))],
  ['account', page(() => import('../pages/account/AccountPage.svelte'))],
  [':plural(certificates|security-groups|network-acls)/:name', page(() => import('../pages/resources/ResourcePage.svelte'))],
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
    const named = /^:(\w+)(?:\((.*)\))?$/.exec(word);
    const isMeant = named ? !named[2] || named[2].split('|').includes(part) : word === part;
    if (!isMeant) return null;
    if (named?.[1]) names[named[1]] = part;
  }
  return names;
}
