/**
 * Which moves can the loop make, and what is a plan? A step is data: one idempotent or guarded effect, why it
 * is wanted, and what must be there first. A plan leaves no choice to whoever carries it out.
 */
import type { WireMachineConfig } from '../../fly/wire.ts';

/** The parts of a tenant, in the order in which a plan lists them. */
export const PARTS = [
  'credentials',
  'database',
  'app',
  'network',
  'volume',
  'secrets',
  'certificate',
  'image',
  'machine',
] as const;

export type Part = (typeof PARTS)[number];

export type Effect =
  | { readonly kind: 'generateCredentials' }
  | { readonly kind: 'rotateCredentials'; readonly requestedAt: string }
  | { readonly kind: 'forgetCredentials' }
  | { readonly kind: 'createDatabase' }
  | { readonly kind: 'setDatabasePassword' }
  | { readonly kind: 'setDatabaseAccess'; readonly external: boolean }
  | { readonly kind: 'dropDatabase' }
  | { readonly kind: 'createApp'; readonly app: string }
  | { readonly kind: 'deleteApp'; readonly app: string }
  | { readonly kind: 'allocateAddress'; readonly app: string; readonly type: 'shared_v4' | 'v6' }
  | { readonly kind: 'releaseAddress'; readonly app: string; readonly ip: string }
  | { readonly kind: 'requestCertificate'; readonly app: string; readonly hostname: string }
  | { readonly kind: 'deleteCertificate'; readonly app: string; readonly hostname: string }
  | {
      readonly kind: 'createVolume';
      readonly app: string;
      readonly name: string;
      readonly region: string;
      readonly sizeGb: number;
      /** Of the machine that will mount it, so that it lands on a host where that machine fits. */
      readonly memoryMb: number;
    }
  | {
      readonly kind: 'extendVolume';
      readonly app: string;
      readonly volumeId: string;
      readonly sizeGb: number;
    }
  | { readonly kind: 'destroyVolume'; readonly app: string; readonly volumeId: string }
  | { readonly kind: 'setSecrets'; readonly app: string; readonly unset: readonly string[] }
  | {
      readonly kind: 'createMachine';
      readonly app: string;
      readonly name: string;
      readonly region: string;
      readonly config: WireMachineConfig;
    }
  | {
      readonly kind: 'updateMachine';
      readonly app: string;
      readonly machineId: string;
      /** The machine's version that this was planned against. */
      readonly currentVersion: string;
      readonly config: WireMachineConfig;
      /** Boot it after the update. Always stated: without it Fly might wake an idle machine. */
      readonly launch: boolean;
      /** Which fields differ, for people. */
      readonly changes: readonly string[];
    }
  | { readonly kind: 'startMachine'; readonly app: string; readonly machineId: string }
  | { readonly kind: 'stopMachine'; readonly app: string; readonly machineId: string }
  | { readonly kind: 'destroyMachine'; readonly app: string; readonly machineId: string }
  | {
      readonly kind: 'deleteImageTag';
      readonly repository: string;
      readonly tag: string;
      readonly digest: string;
    };

export type StepKind = Effect['kind'];

export type Step = Effect & {
  readonly part: Part;
  /** What it acts on, for people: an app, a hostname, a volume id. */
  readonly target: string;
  /** Why it is wanted, as a clause: `the app does not exist`. */
  readonly why: string;
  /** Parts that must be settled first; empty: may run now. */
  readonly needs: readonly Part[];
  /**
   * Key in `status.requested` under which the time of asking is written, by compare-and-swap, before the call.
   * Present on whatever would be made twice if the answer were lost.
   */
  readonly intent?: string;
};

/** A step before plan.ts has worked out what it needs. */
export type DraftStep = DistributiveOmit<Step, 'needs' | 'part'>;
type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;

/** Somebody else must finish first. */
export interface Wait {
  readonly reason: string;
  readonly message: string;
  /** When to look again. */
  readonly retryAfterMs: number;
  /** A machine whose change of state ends the wait sooner. */
  readonly machine?: { readonly app: string; readonly machineId: string; readonly version: string };
}

/** A person must act: the spec or the account has to change. */
export interface Problem {
  readonly reason: string;
  readonly message: string;
}

/** What one part has to say: what to do, what to wait for, what is wrong, and what is true now. */
export interface PartPlan {
  readonly steps: readonly DraftStep[];
  readonly wait?: Wait | undefined;
  readonly problem?: Problem | undefined;
  /** The part's condition while nothing of the above stands in the way. */
  readonly finding: { readonly status: 'True' | 'False'; readonly reason: string; readonly message: string };
  /** Look again after this long although nothing is left to do, for example while a certificate is issued. */
  readonly recheckMs?: number;
}

export interface Plan {
  readonly parts: Readonly<Record<Part, PartPlan>>;
  /** All steps in order; those without needs may run now, at the same time. */
  readonly steps: readonly Step[];
  /** Nothing to do, nothing to wait for, nothing wrong: Fly is as the spec wants it. */
  readonly converged: boolean;
}

/** Names a step within one pass: the same move on the same thing is the same step. */
export function stepId(step: Step): string {
  return `${step.kind}/${step.target}`;
}

/** A part with nothing to do. */
export function settled(reason: string, message: string): PartPlan {
  return { steps: [], finding: { status: 'True', reason, message } };
}

/** A part that has steps to make. */
export function working(reason: string, message: string, steps: readonly DraftStep[]): PartPlan {
  return { steps, finding: { status: 'False', reason, message } };
}

/** A part that has to wait. */
export function waiting(wait: Wait): PartPlan {
  return { steps: [], wait, finding: { status: 'False', reason: wait.reason, message: wait.message } };
}

/** A part that a person must help. */
export function blocked(problem: Problem): PartPlan {
  return {
    steps: [],
    problem,
    finding: { status: 'False', reason: problem.reason, message: problem.message },
  };
}
