/** Tenants for tests of what needs no store. */
import { API_VERSION, KIND } from '../../src/tenant/names.ts';
import { specSchema, tenantSchema, type Tenant } from '../../src/tenant/schema.ts';

export const UID = '1b4e28ba-2fa1-41d2-883f-0016d3cca427';

/** A valid tenant of generation 1 with these parts of it replaced. */
export function tenantWith(parts: { metadata?: object; spec?: object; status?: object } = {}): Tenant {
  return tenantSchema.parse({
    apiVersion: API_VERSION,
    kind: KIND,
    metadata: {
      name: 'shop',
      namespace: 'default',
      uid: UID,
      resourceVersion: '7',
      generation: 1,
      creationTimestamp: '2026-01-01T00:00:00Z',
      ...parts.metadata,
    },
    spec: specSchema.parse({ owner: 'ctm_1', region: 'iad', ...parts.spec }),
    ...(parts.status && { status: parts.status }),
  });
}

/** A condition as the loop writes it. */
export function condition(type: string, status: string, reason = 'Because') {
  return {
    type,
    status,
    reason,
    message: `${type} is ${status}`,
    lastTransitionTime: '2026-01-01T00:00:00Z',
    observedGeneration: 1,
  };
}
