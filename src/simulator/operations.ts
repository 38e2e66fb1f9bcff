/**
 * What does the simulator do for each of Fly's operations? The methods and paths of the Machines API come from
 * its OpenAPI document; this table says what is simulated of it, how long that takes and how often it may be
 * asked for. Below stand the operations that other hosts of the platform answer.
 */
import { createAddress, deleteAddress, listAddresses } from './addresses.ts';
import { createApp, deleteApp, listApps, showApp } from './apps.ts';
import type { Handler } from './call.ts';
import {
  checkCertificate,
  createCertificate,
  deleteCertificate,
  listCertificates,
  showCertificate,
} from './certificates.ts';
import type { LatencyName } from './latency.ts';
import { createLease, releaseLease, showLease } from './leases.ts';
import { readLogs } from './logs.ts';
import * as actions from './machine-actions.ts';
import { createMachine } from './machine-create.ts';
import * as metadata from './machine-metadata.ts';
import { listEvents, listMachines, listVersions, showMachine } from './machine-reads.ts';
import { updateMachine } from './machine-update.ts';
import { waitForMachine } from './machine-wait.ts';
import { queryInstant, queryRange } from './metrics.ts';
import { listOrganisationMachines, listOrganisationVolumes } from './organisation.ts';
import { listRegions, showCurrentToken } from './platform.ts';
import type { LimitClass } from './rate-limits.ts';
import { deleteManifest, listTags, pingRegistry, putManifest, showManifest } from './registry.ts';
import { createSecret, deleteSecret, listSecrets, showSecret, updateSecrets } from './secrets.ts';
import { createDeployToken } from './tokens.ts';
import {
  createVolume,
  deleteVolume,
  extendVolume,
  listVolumes,
  showVolume,
  updateVolume,
} from './volumes.ts';

export interface Operation {
  readonly run: Handler;
  readonly latency: LatencyName;
  /** Default `action`. */
  readonly limit?: LimitClass;
}

/** By OpenAPI's operationId. What is in the document and not in here answers 501. */
export const operations: Readonly<Record<string, Operation>> = {
  Apps_list: { run: listApps, latency: 'read' },
  Apps_create: { run: createApp, latency: 'appCreate' },
  Apps_show: { run: showApp, latency: 'read' },
  Apps_delete: { run: deleteApp, latency: 'appDelete', limit: 'deleteApp' },
  App_create_deploy_token: { run: createDeployToken, latency: 'tokenCreate' },

  App_Certificates_list: { run: listCertificates, latency: 'read' },
  App_Certificates_acme_create: { run: createCertificate, latency: 'certificateWrite' },
  App_Certificates_show: { run: showCertificate, latency: 'read' },
  App_Certificates_delete: { run: deleteCertificate, latency: 'certificateWrite' },
  App_Certificates_check: { run: checkCertificate, latency: 'certificateWrite' },

  App_IPAssignments_list: { run: listAddresses, latency: 'read' },
  App_IPAssignments_create: { run: createAddress, latency: 'addressWrite' },
  App_IPAssignments_delete: { run: deleteAddress, latency: 'addressWrite' },

  Machines_list: { run: listMachines, latency: 'read' },
  Machines_create: { run: createMachine, latency: 'machineCreate' },
  Machines_show: { run: showMachine, latency: 'read', limit: 'getMachine' },
  Machines_update: { run: updateMachine, latency: 'machineUpdate' },
  Machines_delete: { run: actions.destroyMachine, latency: 'machineAction' },
  Machines_start: { run: actions.startMachine, latency: 'machineAction' },
  Machines_stop: { run: actions.stopMachine, latency: 'machineAction' },
  Machines_suspend: { run: actions.suspendMachine, latency: 'machineAction' },
  Machines_restart: { run: actions.restartMachine, latency: 'machineAction' },
  Machines_cordon: { run: actions.cordonMachine, latency: 'machineAction' },
  Machines_uncordon: { run: actions.uncordonMachine, latency: 'machineAction' },
  Machines_wait: { run: waitForMachine, latency: 'read' },
  Machines_list_events: { run: listEvents, latency: 'read' },
  Machines_list_versions: { run: listVersions, latency: 'read' },
  Machines_show_lease: { run: showLease, latency: 'read' },
  Machines_create_lease: { run: createLease, latency: 'leaseWrite' },
  Machines_release_lease: { run: releaseLease, latency: 'leaseWrite' },
  Machines_show_metadata: { run: metadata.showMetadata, latency: 'read' },
  Machines_update_metadata: { run: metadata.mergeMetadata, latency: 'machineMetadata' },
  Machines_get_metadata_key: { run: metadata.showMetadataKey, latency: 'read' },
  Machines_upsert_metadata: { run: metadata.setMetadataKey, latency: 'machineMetadata' },
  Machines_delete_metadata: { run: metadata.deleteMetadataKey, latency: 'machineMetadata' },

  Secrets_list: { run: listSecrets, latency: 'read' },
  Secrets_update: { run: updateSecrets, latency: 'secretsWrite' },
  Secret_get: { run: showSecret, latency: 'read' },
  Secret_create: { run: createSecret, latency: 'secretsWrite' },
  Secret_delete: { run: deleteSecret, latency: 'secretsWrite' },

  Volumes_list: { run: listVolumes, latency: 'read' },
  Volumes_create: { run: createVolume, latency: 'volumeCreate' },
  Volumes_get_by_id: { run: showVolume, latency: 'read' },
  Volumes_update: { run: updateVolume, latency: 'volumeWrite' },
  Volumes_extend: { run: extendVolume, latency: 'volumeWrite' },
  Volume_delete: { run: deleteVolume, latency: 'volumeWrite' },

  Machines_org_list: { run: listOrganisationMachines, latency: 'organisationList' },
  Volumes_org_list: { run: listOrganisationVolumes, latency: 'organisationList' },
  Platform_regions_get: { run: listRegions, latency: 'read' },
  CurrentToken_show: { run: showCurrentToken, latency: 'read' },
};

/** An operation that is not in the OpenAPI document, with the name that the call log gives it. */
export interface OtherOperation extends Operation {
  readonly method: string;
  readonly path: string;
  readonly operation: string;
  readonly limit: 'none';
}

function telemetry(method: string, path: string, named: { operation: string; run: Handler }): OtherOperation {
  return { method, path, ...named, latency: 'telemetry', limit: 'none' };
}

function registry(method: string, path: string, named: { operation: string; run: Handler }): OtherOperation {
  const latency = method === 'GET' || method === 'HEAD' ? 'registryRead' : 'registryWrite';
  return { method, path: `/v2${path}`, ...named, latency, limit: 'none' };
}

const MANIFEST = '/{repository+}/manifests/{reference}';
const PROMETHEUS = '/prometheus/{org_slug}/api/v1';

export const otherOperations: readonly OtherOperation[] = [
  telemetry('GET', '/api/v1/apps/{app_name}/logs', { operation: 'Logs_read', run: readLogs }),
  telemetry('GET', `${PROMETHEUS}/query`, { operation: 'Prometheus_query', run: queryInstant }),
  telemetry('POST', `${PROMETHEUS}/query`, { operation: 'Prometheus_query', run: queryInstant }),
  telemetry('GET', `${PROMETHEUS}/query_range`, { operation: 'Prometheus_query_range', run: queryRange }),
  telemetry('POST', `${PROMETHEUS}/query_range`, { operation: 'Prometheus_query_range', run: queryRange }),

  registry('GET', '/', { operation: 'Registry_ping', run: pingRegistry }),
  registry('GET', '', { operation: 'Registry_ping', run: pingRegistry }),
  registry('GET', '/{repository+}/tags/list', { operation: 'Registry_tags', run: listTags }),
  registry('HEAD', MANIFEST, { operation: 'Registry_manifest_head', run: showManifest }),
  registry('GET', MANIFEST, { operation: 'Registry_manifest_get', run: showManifest }),
  registry('PUT', MANIFEST, { operation: 'Registry_manifest_put', run: putManifest }),
  registry('DELETE', MANIFEST, { operation: 'Registry_manifest_delete', run: deleteManifest }),
];
