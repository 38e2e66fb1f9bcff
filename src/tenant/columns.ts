/**
 * What does `kubectl get tenants` show? One table for the CRD, where the API server follows the path, and for our
 * own door, which reads the field: a test holds the two to each other.
 */
import { findCondition } from './conditions.ts';
import type { Tenant } from './schema.ts';

export interface PrinterColumn {
  readonly name: string;
  readonly type: 'string' | 'integer' | 'date';
  /** As Kubernetes writes paths, from the object. */
  readonly jsonPath: string;
  /** 1: only with `-o wide`. */
  readonly priority?: 1;
  /** What the path leads to; undefined when there is nothing. A date is still a timestamp here. */
  readonly read: (tenant: Tenant) => string | number | undefined;
}

const ready = (tenant: Tenant) => findCondition(tenant.status?.conditions, 'Ready');

/** In the order in which they are shown, after the name. */
export const PRINTER_COLUMNS: readonly PrinterColumn[] = [
  {
    name: 'Ready',
    type: 'string',
    jsonPath: '.status.conditions[?(@.type=="Ready")].status',
    read: (tenant) => ready(tenant)?.status,
  },
  {
    name: 'Reason',
    type: 'string',
    jsonPath: '.status.conditions[?(@.type=="Ready")].reason',
    read: (tenant) => ready(tenant)?.reason,
  },
  { name: 'Phase', type: 'string', jsonPath: '.status.phase', read: ({ status }) => status?.phase },
  { name: 'Image', type: 'string', jsonPath: '.spec.image', read: ({ spec }) => spec.image },
  { name: 'Memory', type: 'integer', jsonPath: '.spec.memoryMb', read: ({ spec }) => spec.memoryMb },
  { name: 'Region', type: 'string', jsonPath: '.spec.region', read: ({ spec }) => spec.region },
  {
    name: 'Age',
    type: 'date',
    jsonPath: '.metadata.creationTimestamp',
    read: ({ metadata }) => metadata.creationTimestamp,
  },
  {
    name: 'Message',
    type: 'string',
    jsonPath: '.status.conditions[?(@.type=="Ready")].message',
    priority: 1,
    read: (tenant) => ready(tenant)?.message,
  },
];
