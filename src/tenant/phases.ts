/** Which one word tells a person where a tenant stands? Phases are derived, and nothing is decided by them. */
export const PHASES = [
  'pending',
  'provisioning',
  'awaiting_deploy',
  'deploying',
  'running',
  'updating',
  'restarting',
  'suspending',
  'suspended',
  'resuming',
  'failed',
  'deleting',
] as const;

export type Phase = (typeof PHASES)[number];
