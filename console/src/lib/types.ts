// What the API takes and gives, in the words of docs/openapi.json. Only what the console reads is spelled out.

export type * from './types/common';
export type * from './types/control';
export type * from './types/running';
export type * from './types/traffic';
