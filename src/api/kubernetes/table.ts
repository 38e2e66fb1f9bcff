/**
 * How are objects shown as the rows of a table? metav1.Table: the server says what is in the columns, so that
 * `kubectl get` shows for Tenants what it would show for any custom resource of a cluster.
 */
import { PRINTER_COLUMNS } from '../../tenant/columns.ts';
import type { Tenant } from '../../tenant/schema.ts';
import { humanAge } from './human-duration.ts';

export type Cell = string | number | null;

export interface Column<T> {
  readonly name: string;
  readonly type: 'string' | 'integer' | 'date';
  /** `name` marks the column that names the object. */
  readonly format: '' | 'name';
  readonly description: string;
  /** 0: always shown; 1: only with `-o wide`. */
  readonly priority: number;
  readonly read: (object: T, now: number) => Cell;
}

/** What every row carries of its object: nothing, its metadata, or all of it. */
export type IncludeObject = 'None' | 'Metadata' | 'Object';

export interface TableOptions {
  readonly includeObject: IncludeObject;
  /** For ages, in milliseconds since 1970. */
  readonly now: number;
  /** In a watch only the first table says what its columns are. */
  readonly headed?: boolean;
}

/** What lists and single objects alike say of themselves. */
export interface ListMetadata {
  readonly resourceVersion: string;
  readonly continue?: string;
}

export interface TableView {
  readonly kind: 'Table';
  readonly apiVersion: 'meta.k8s.io/v1';
  readonly metadata: ListMetadata;
  readonly columnDefinitions: readonly Omit<Column<never>, 'read'>[] | null;
  readonly rows: readonly { readonly cells: readonly Cell[]; readonly object: unknown }[];
}

/** The first column of every table. */
export function nameColumn<T extends { readonly metadata: { readonly name: string } }>(
  priority: 0 | 1 = 0,
): Column<T> {
  return {
    name: 'Name',
    type: 'string',
    format: 'name',
    description: 'Unique within its namespace. Cannot be changed.',
    priority,
    read: ({ metadata }) => metadata.name,
  };
}

export const TENANT_COLUMNS: readonly Column<Tenant>[] = [
  nameColumn<Tenant>(),
  ...PRINTER_COLUMNS.map(({ name, type, jsonPath, priority = 0, read }): Column<Tenant> => ({
    name,
    type,
    format: '',
    description: `Custom resource definition column (in JSONPath format): ${jsonPath}`,
    priority,
    read: (tenant, now) => {
      const value = read(tenant);
      return type === 'date' ? humanAge(value?.toString(), now) : (value ?? null);
    },
  })),
];

/** The objects as a table. */
export function toTable<T extends { readonly metadata: object }>(
  columns: readonly Column<T>[],
  list: { readonly items: readonly T[]; readonly metadata: ListMetadata },
  { includeObject, now, headed = true }: TableOptions,
): TableView {
  return {
    kind: 'Table',
    apiVersion: 'meta.k8s.io/v1',
    metadata: list.metadata,
    columnDefinitions: headed ? columns.map(({ read: _read, ...definition }) => definition) : null,
    rows: list.items.map((object) => ({
      cells: columns.map(({ read }) => read(object, now)),
      object: included(object, includeObject),
    })),
  };
}

function included({ metadata, ...rest }: { readonly metadata: object }, include: IncludeObject): unknown {
  switch (include) {
    case 'None':
      return null;
    case 'Metadata':
      return { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata };
    case 'Object':
      return { ...rest, metadata };
  }
}
