// What is declared: load balancers with their rules, and target groups.

import type { OneOrMany } from './common';

export type Text = string | { regex: string };

export interface Conditions {
  host?: OneOrMany<Text>;
  path?: OneOrMany<Text>;
  method?: OneOrMany<string>;
  source_ip?: OneOrMany<string>;
  header?: Record<string, OneOrMany<Text>>;
  query?: OneOrMany<Record<string, string>>;
  sni?: OneOrMany<string>;
  alpn?: OneOrMany<string>;
  all?: OneOrMany<Conditions>;
  not?: Conditions;
}

export type Weights = Record<string, number>;

export interface ForwardSettings {
  groups: string | Weights;
  stickiness?: string | { duration: string; cookie_name?: string };
  [more: string]: unknown;
}

export type Forward = string | Weights | ForwardSettings;

export interface Redirect {
  protocol?: string;
  host?: string;
  port?: string | number;
  path?: string;
  query?: string;
  status?: number;
}

export interface FixedResponse {
  status: number;
  body?: string;
  content_type?: string;
}

export interface Action {
  forward?: Forward;
  redirect?: Redirect;
  fixed_response?: FixedResponse;
}

export interface Rule {
  name?: string;
  if?: Conditions;
  then: Action;
  [more: string]: unknown;
}

export interface Listener {
  address?: string;
  port?: number;
  protocol?: string;
  certificates?: unknown[];
  rules?: Rule[];
  default?: Action;
  [more: string]: unknown;
}

export interface LoadBalancer {
  type: 'application' | 'network';
  listeners: Record<string, Listener>;
  [more: string]: unknown;
}

export type TargetState = 'initial' | 'healthy' | 'unhealthy' | 'unhealthy.draining' | 'unused' | 'draining' | 'unavailable';

export interface HealthCheck {
  protocol?: string;
  path?: string;
  port?: string | number;
  interval?: string;
  timeout?: string;
  healthy_threshold?: number;
  unhealthy_threshold?: number;
  matcher?: string | number;
  [more: string]: unknown;
}

export interface TargetGroup {
  protocol?: string;
  algorithm?: string;
  deregistration_delay?: string;
  health_check?: HealthCheck | false;
  targets?: (string | { address: string; weight?: number })[];
  [more: string]: unknown;
}

export interface Latency {
  p50: number;
  p95: number;
  p99: number;
  mean: number;
}

export interface TargetStatus {
  address: string;
  state: TargetState;
  reason: string | null;
  description: string | null;
  weight: number;
  effective_weight: number;
  in_flight: number;
  requests: number;
  latency_ms?: Latency;
  slow_start?: boolean;
  ejected?: boolean;
}

export interface GroupStatus {
  fail_open: boolean;
  healthy: number;
  requests: number;
  pending: number;
  targets: TargetStatus[];
}
