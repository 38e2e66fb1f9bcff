/**
 * What does Fly's wire look like? Types of the requests and answers that Landlord uses, with Fly's own field
 * names. Every field that an answer may lack is optional. Types only: the simulator may import this file and
 * nothing else of src/fly.
 */

export interface WireApp {
  id: string;
  name: string;
  status?: string;
  network?: string;
  machine_count?: number;
  volume_count?: number;
  organization?: { name?: string; slug?: string };
}

export interface WireVolume {
  id: string;
  name: string;
  state: string;
  size_gb: number;
  region: string;
  zone?: string;
  encrypted?: boolean;
  attached_machine_id?: string | null;
  attached_alloc_id?: string | null;
  created_at?: string;
  blocks?: number;
  block_size?: number;
  blocks_free?: number;
  blocks_avail?: number;
  bytes_used?: number;
  bytes_total?: number;
  fstype?: string;
  snapshot_retention?: number;
  auto_backup_enabled?: boolean;
  host_status?: string;
}

export interface WireVolumeCreate {
  name: string;
  region: string;
  size_gb: number;
  encrypted?: boolean;
  snapshot_retention?: number;
  auto_backup_enabled?: boolean;
  require_unique_zone?: boolean;
  compute?: WireGuest;
}

export interface WireGuest {
  cpu_kind?: string;
  cpus?: number;
  memory_mb?: number;
}

export interface WirePort {
  port?: number;
  start_port?: number;
  end_port?: number;
  handlers?: string[];
  force_https?: boolean;
}

export interface WireCheck {
  type?: string;
  port?: number;
  interval?: string | number;
  timeout?: string | number;
  grace_period?: string | number;
  method?: string;
  path?: string;
}

export interface WireService {
  protocol?: string;
  internal_port?: number;
  ports?: WirePort[];
  autostart?: boolean;
  /** Sent as `off`, `stop` or `suspend`; comes back as false, true or `suspend`. */
  autostop?: boolean | string;
  min_machines_running?: number;
  concurrency?: { type?: string; soft_limit?: number; hard_limit?: number };
  checks?: WireCheck[];
}

export interface WireMount {
  volume: string;
  path: string;
  name?: string;
  size_gb?: number;
}

export interface WireMachineConfig {
  image?: string;
  env?: Record<string, string>;
  guest?: WireGuest;
  mounts?: WireMount[];
  services?: WireService[];
  checks?: Record<string, WireCheck>;
  restart?: { policy?: string; max_retries?: number };
  metadata?: Record<string, string>;
  auto_destroy?: boolean;
  stop_config?: { signal?: string; timeout?: string | number };
  /** Everything else that Fly may echo: `dns`, `init`, … */
  [key: string]: unknown;
}

export interface WireMachineEvent {
  id?: string;
  type?: string;
  status?: string;
  source?: string;
  /** Milliseconds since the epoch. */
  timestamp?: number;
  request?: {
    exit_event?: {
      exit_code?: number;
      requested_stop?: boolean;
      restarting?: boolean;
      oom_killed?: boolean;
    };
    restart_count?: number;
  };
}

export interface WireMachineCheck {
  name?: string;
  status?: string;
  output?: string;
  updated_at?: string;
}

export interface WireMachine {
  id: string;
  name: string;
  state: string;
  region: string;
  instance_id: string;
  private_ip?: string;
  created_at?: string;
  updated_at?: string;
  /** Absent when `host_status` is not `ok`. */
  config?: WireMachineConfig;
  incomplete_config?: WireMachineConfig;
  image_ref?: { registry?: string; repository?: string; tag?: string; digest?: string };
  checks?: WireMachineCheck[];
  /** Newest first. */
  events?: WireMachineEvent[];
  host_status?: string;
  nonce?: string;
  cordoned?: boolean;
}

export interface WireMachineCreate {
  name: string;
  region: string;
  config: WireMachineConfig;
  skip_launch?: boolean;
  skip_service_registration?: boolean;
  min_secrets_version?: number;
  lease_ttl?: number;
}

export interface WireMachineUpdate {
  config: WireMachineConfig;
  /** The `instance_id` that the change was planned against; Fly refuses when it has moved on. */
  current_version: string;
  skip_launch?: boolean;
  min_secrets_version?: number;
  name?: string;
  region?: string;
}

export interface WireLease {
  nonce: string;
  /** Seconds since the epoch. */
  expires_at: number;
  owner?: string;
  description?: string;
  version?: string;
}

export interface WireIpAssignment {
  ip: string;
  region?: string;
  service_name?: string;
  shared?: boolean;
  egress?: boolean;
  created_at?: string;
}

export interface WireCertificate {
  hostname: string;
  configured?: boolean;
  acme_requested?: boolean;
  status?: string;
  rate_limited_until?: string | null;
  created_at?: string;
  updated_at?: string;
}

export interface WireCertificateDetail extends WireCertificate {
  certificates?: { source?: string; status?: string; created_at?: string; expires_at?: string }[];
  dns_requirements?: {
    a?: string[];
    aaaa?: string[];
    cname?: string;
    acme_challenge?: { name?: string; target?: string };
    ownership?: { name?: string; app_value?: string; org_value?: string };
  };
  validation_errors?: { code?: string | null; message?: string; remediation?: string }[];
}

export interface WireSecret {
  name: string;
  digest?: string;
  created_at?: string;
  updated_at?: string;
}

export interface WireRegion {
  code: string;
  name: string;
  deprecated?: boolean;
}

export interface WireOrgMachine {
  id: string;
  app_name: string;
  name?: string;
  state: string;
  region?: string;
  updated_at?: string;
}

export interface WireOrgVolume extends WireVolume {
  app_name: string;
  updated_at?: string;
}

export interface WireLogLine {
  id: string;
  timestamp: string;
  message: string;
  level?: string;
  instance?: string;
  region?: string;
}

/** One series of a Prometheus answer: labels, and samples of [seconds since the epoch, number as text]. */
export interface WireMetricSeries {
  metric: Record<string, string>;
  values: [number, string][];
}
