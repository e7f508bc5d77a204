// What runs: its state, what becomes of a request, and what goes on each second.

import type { GroupStatus, TargetState } from './traffic';

export interface RuleStatus {
  rule: string;
  hits: number;
}

export interface ListenerStatus {
  address: string;
  protocol: string;
  rules: RuleStatus[];
}

export interface OrderStatus {
  state: string;
  next?: number;
  failures?: number;
  last_error?: { at: number; what: string } | null;
}

export interface CertificateStatus {
  source: 'files' | 'acme';
  state: 'issued' | 'stand_in';
  names: string[];
  issuer: string;
  serial: string;
  not_before: string;
  not_after: string;
  order?: OrderStatus;
}

export interface Status {
  version: string;
  state: string;
  started: number;
  workers: number;
  configuration: { file: string };
  load_balancers: Record<string, { listeners: Record<string, ListenerStatus> }>;
  target_groups: Record<string, GroupStatus>;
  certificates: Record<string, CertificateStatus>;
}

export interface Decision {
  request: string;
  from: string;
  live: boolean;
  listener: { load_balancer: string; name: string; address: string | null; protocol: string };
  desync?: [string, string] | null;
  refused?: string;
  rules: { rule: string; failed: string | null }[];
  rule: string;
  action: string;
  groups?: { group: string; weight: number; share: number }[];
  group?: { name: string; why: string };
  answer?: string;
  targets?: {
    group: string;
    address: string;
    weight: number;
    effective_weight: number | null;
    state: string;
    reason: string | null;
    in_flight: number | null;
    out: string | null;
    chance: number;
  }[];
  target?: { name: string; why: string };
}

/** What is measured of a subject in one second. */
export interface Sample {
  requests?: number;
  errors?: number;
  p50?: number | null;
  p95?: number | null;
  p99?: number | null;
  active?: number;
  received?: number;
  sent?: number;
  healthy?: number;
  total?: number;
  pending?: number;
  state?: TargetState;
  reason?: string | null;
  weight?: number;
}

export type Column = 'requests' | 'errors' | 'p50' | 'p95' | 'p99' | 'active' | 'received' | 'sent';

export interface History {
  step: number;
  to: number;
  subjects: Record<string, Partial<Record<Column, (number | null)[]>>>;
}
