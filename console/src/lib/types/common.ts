// What every kind of call has.

export type Origin = 'file' | 'api';

/** A value or a list of them, as the API takes them; it gives lists. */
export type OneOrMany<T> = T | T[];

export interface Fault {
  path: string;
  /** A JSON pointer into what was sent, such as `#/if/path`. */
  pointer?: string;
  detail: string;
  message: string;
}

/** RFC 9457. */
export interface Problem {
  type: string;
  title: string;
  status: number;
  detail: string;
  request_id?: string;
  errors?: Fault[];
}

export interface Session {
  auth: 'none' | 'required';
  initialised: boolean;
  user: string | null;
  principal: string | null;
  mfa: boolean;
  expires: string | null;
  version: string;
}

export interface Meta {
  origin: Origin;
  etag: string;
  revision?: number;
}

/** What a change would do (`?dry_run=true`). */
export interface Preview {
  dry_run: true;
  changes: string[];
  warnings: string[];
}
