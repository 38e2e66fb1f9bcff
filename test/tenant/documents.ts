/** Documents that the tests of the domain begin with. */
import { specSchema, type Tenant, type TenantStatus } from '../../src/tenant/schema.ts';

export const UID = '1b4e28ba-2fa1-41d2-883f-0016d3cca427';
export const DIGEST = `sha256:${'0123456789abcdef'.repeat(4)}`;

/** The least that a person has to say. */
export const MINIMAL_SPEC = { owner: 'ctm_123', region: 'iad' };

/** A stored tenant with all defaults, but for what the test says. */
export function tenantOf(spec: object = {}, status?: TenantStatus): Tenant {
  return {
    apiVersion: 'cloud.systemprompt.io/v1alpha1',
    kind: 'Tenant',
    metadata: {
      name: 'my-project',
      namespace: 'default',
      uid: UID,
      resourceVersion: '7',
      generation: 1,
      creationTimestamp: '2026-01-01T00:00:00Z',
    },
    spec: specSchema.parse({ ...MINIMAL_SPEC, ...spec }),
    ...(status && { status }),
  };
}
