/**
 * What is there to be found behind the door for kubectl? One table of resources, from which every form of discovery
 * is made.
 */
import { CATEGORIES, GROUP, KIND, PLURAL, SHORT_NAMES, SINGULAR, VERSION } from '../../tenant/names.ts';

export interface Subresource {
  readonly name: string;
  readonly verbs: readonly string[];
}

export interface Resource {
  readonly name: string;
  readonly singular: string;
  readonly kind: string;
  readonly namespaced: boolean;
  readonly verbs: readonly string[];
  readonly shortNames?: readonly string[];
  readonly categories?: readonly string[];
  readonly subresources?: readonly Subresource[];
}

export interface GroupVersion {
  /** Empty for the core group. */
  readonly group: string;
  readonly version: string;
  readonly resources: readonly Resource[];
}

/** The core group: no more of it than tenants need around them. */
export const CORE: GroupVersion = {
  group: '',
  version: 'v1',
  resources: [
    {
      name: 'events',
      singular: 'event',
      kind: 'Event',
      namespaced: true,
      verbs: ['list'],
      shortNames: ['ev'],
    },
    {
      name: 'namespaces',
      singular: 'namespace',
      kind: 'Namespace',
      namespaced: false,
      verbs: ['get', 'list'],
      shortNames: ['ns'],
    },
  ],
};

/** Who asks: answered and forgotten. */
export const SELF_REVIEWS: GroupVersion = {
  group: 'authentication.k8s.io',
  version: 'v1',
  resources: [review('selfsubjectreviews', 'SelfSubjectReview')],
};

/** What the one who asks may do. */
export const ACCESS_REVIEWS: GroupVersion = {
  group: 'authorization.k8s.io',
  version: 'v1',
  resources: [review('selfsubjectaccessreviews', 'SelfSubjectAccessReview')],
};

/** All groups but the core one. */
export const GROUPS: readonly GroupVersion[] = [
  SELF_REVIEWS,
  ACCESS_REVIEWS,
  {
    group: GROUP,
    version: VERSION,
    resources: [
      {
        name: PLURAL,
        singular: SINGULAR,
        kind: KIND,
        namespaced: true,
        verbs: ['create', 'delete', 'get', 'list', 'patch', 'update', 'watch'],
        shortNames: SHORT_NAMES,
        categories: CATEGORIES,
        subresources: [{ name: 'status', verbs: ['get', 'patch', 'update'] }],
      },
    ],
  },
];

/** `apps/v1`, or `v1` for the core group. */
export function groupVersionName({ group, version }: GroupVersion): string {
  return group === '' ? version : `${group}/${version}`;
}

function review(name: string, kind: string): Resource {
  return { name, singular: kind.toLowerCase(), kind, namespaced: false, verbs: ['create'] };
}
