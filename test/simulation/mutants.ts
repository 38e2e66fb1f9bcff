/**
 * Which defects must the simulation find? Each is one small change of the product's source that somebody could make in
 * good faith. None of them is anywhere but here: `mutation.ts` applies them to a copy.
 */

export interface Edit {
  /** Below `src`. */
  readonly file: string;
  /** Stands exactly once in the file. */
  readonly find: string;
  readonly replace: string;
}

export interface Mutant extends Edit {
  readonly name: string;
  /** Where the product is careful in several places, each of which would suffice: the same defect in the others. */
  readonly also?: readonly Edit[];
}

const TENANT = 'reconcilers/tenant';

export const MUTANTS: readonly Mutant[] = [
  // The journal
  {
    name: 'intents are not written before the call',
    file: `${TENANT}/pass.ts`,
    find: 'if (intents.length === 0) return status;',
    replace: 'if (intents.length >= 0) return status;',
  },
  {
    name: 'not found is believed at once',
    file: `${TENANT}/input.ts`,
    find: 'if (requestedAt === undefined) return 0;',
    replace: 'if (requestedAt !== null) return 0;',
  },
  {
    name: 'the intent of a call that ended nobody knows how is taken back',
    file: `${TENANT}/carry-out.ts`,
    find: "if (failure.ambiguous || failure.kind === 'bug') pass.renew(step.intent);",
    replace: "if (failure.kind === 'bug') pass.renew(step.intent);",
  },
  {
    name: 'a volume is asked for without an intent',
    file: `${TENANT}/parts/volume.ts`,
    find: "      intent: 'volume',\n",
    replace: '',
  },
  {
    name: 'an address is asked for without an intent',
    file: `${TENANT}/parts/network.ts`,
    find: '        intent: type,\n',
    replace: '',
  },
  {
    name: 'a journal that a clock wrote which was set back holds up for an hour',
    file: `${TENANT}/report.ts`,
    find: 'Date.parse(at) > now ? new Date(now).toISOString() : at',
    replace: 'Date.parse(at) > Infinity ? new Date(now).toISOString() : at',
  },
  // What is made
  {
    name: 'writes to Fly are repeated by the client',
    file: 'fly/transport.ts',
    find: 'if (isWrite(call) || call.longPoll === true)',
    replace: 'if (call.longPoll === true)',
  },
  {
    name: 'a machine that was just made is forgotten when it is not wanted any more',
    file: `${TENANT}/parts/machine.ts`,
    find: 'notVisibleYet(input, UNNAMED_GRACE_MS) ??',
    replace: '',
  },
  {
    name: 'a machine is named anew every time',
    file: `${TENANT}/parts/machine.ts`,
    find: '      name: machineName(tenant),\n',
    replace: '      name: `${machineName(tenant)}-${tenant.metadata.resourceVersion}`,\n',
  },
  {
    name: 'what was not found before a slow step is believed after it',
    file: `${TENANT}/input.ts`,
    find: 'graceMs - input.observedAt',
    replace: 'graceMs - input.now',
  },
  {
    name: 'a machine that is not found by its id is left out of the list',
    file: `${TENANT}/observe.ts`,
    find: 'recorded === undefined || id !== machineId',
    replace: 'id !== machineId',
  },
  {
    name: 'an empty volume is made in place of a lost one',
    file: `${TENANT}/parts/volume.ts`,
    find: 'if (lost !== undefined && !acknowledged)\n',
    replace: 'if (lost === null && !acknowledged)\n',
  },
  {
    name: 'a moved volume that is lost is waited for without an end',
    file: `${TENANT}/parts/volume.ts`,
    find: '&& awaitedForMs < MOVED_GRACE_MS',
    replace: '',
  },
  {
    name: 'no volume is chosen after the loss of one was acknowledged',
    file: `${TENANT}/parts/volume.ts`,
    find: 'recorded === undefined || isAcknowledged(tenant, recorded)',
    replace: 'recorded === undefined',
  },
  {
    name: 'a list of volumes that cannot be read counts as empty',
    file: `${TENANT}/observe.ts`,
    find: 'fly.volumes.list(app, signal),',
    replace: 'fly.volumes.list(app, signal).catch(() => []),',
  },
  {
    name: 'a list of addresses that Fly denies to have counts as empty',
    file: 'fly/network.ts',
    find: 'means: { 404: () => undefined },',
    replace: 'means: { 404: () => [] },',
  },
  {
    name: 'a list of volumes that Fly denies to have counts as empty',
    file: 'fly/volumes.ts',
    find: '.filter(isLive),\n          means: { 404: () => undefined },',
    replace: '.filter(isLive),\n          means: { 404: () => [] },',
  },
  // What is destroyed
  {
    name: 'a second volume is destroyed although it was mounted',
    file: `${TENANT}/parts/volume.ts`,
    find: 'if (tenant.spec.adopt !== undefined || tenant.status?.volume?.id !== chosen.id) return [];',
    replace: 'return observed.volumes;',
  },
  {
    name: 'the deletion policy Orphan is not heeded',
    file: `${TENANT}/plan-deletion.ts`,
    find: "if (input.tenant.spec.deletionPolicy === 'Orphan')\n",
    replace: 'if (input.tenant.spec.deletionPolicy === null)\n',
    also: [
      {
        file: `${TENANT}/observe.ts`,
        find: "if (deleted && tenant.spec.deletionPolicy === 'Orphan')",
        replace: 'if (deleted && tenant.spec.deletionPolicy === null)',
      },
    ],
  },
  {
    name: 'the finalizer goes although something failed',
    file: `${TENANT}/reconcile.ts`,
    find: 'tenant.metadata.deletionTimestamp !== undefined && plan.converged && failure === undefined;',
    replace: 'tenant.metadata.deletionTimestamp !== undefined;',
  },
  {
    name: 'a deletion does not wait for an app that may still appear',
    file: `${TENANT}/plan-deletion.ts`,
    find: 'if (appGraceLeftMs(input, LAST_GRACE_MS) > 0)',
    replace: 'if (appGraceLeftMs(input, LAST_GRACE_MS) > 1e9)',
  },
  {
    name: 'an app that was asked for twice counts as made once',
    file: `${TENANT}/parts/app.ts`,
    find: '=== undefined ? APP_INTENT : APP_AGAIN_INTENT',
    replace: '=== null ? APP_AGAIN_INTENT : APP_INTENT',
  },
  {
    name: 'an app that Fly refuses to show counts as gone',
    file: `${TENANT}/observe.ts`,
    find: "if (app === 'taken' && expected)",
    replace: "if (app === 'gone')",
  },
  {
    name: 'an app that does not show counts as gone whatever shows of it',
    file: `${TENANT}/observe.ts`,
    find: '  if (app === undefined && isThere(await early)) throw contradiction(name);\n',
    replace: '',
  },
  {
    name: 'a deletion does not wait for somebody who is at work on the database',
    file: `${TENANT}/observe.ts`,
    find: '{ afterOthers: deleted }',
    replace: '{ afterOthers: false }',
  },
  {
    name: 'a deletion keeps the database',
    file: `${TENANT}/plan-deletion.ts`,
    find: 'if (!observed.database.databaseExists && !observed.database.roleExists)',
    replace: 'if (observed.database.databaseExists || !observed.database.roleExists)',
  },
  // Secrets and passwords
  {
    name: 'secrets are called applied before they are set',
    file: `${TENANT}/act.ts`,
    find: '  const answer = await dependencies.fly.secrets.set(',
    replace:
      '  await dependencies.vault.recordApplied(uid, { revision, version: 0, digests: {} });\n' +
      '  const answer = await dependencies.fly.secrets.set(',
  },
  {
    name: 'a secret is told in an event',
    file: `${TENANT}/act.ts`,
    find: '`${names.size} secrets are set on app "${step.app}"`',
    replace: '`${Object.values(values).join()} are set on app "${step.app}"`',
  },
  {
    name: 'a new password does not reach the role',
    file: `${TENANT}/parts/database.ts`,
    find: 'passwordRevision !== observed.vault.passwordRevision)',
    replace: 'passwordRevision === undefined)',
  },
  {
    name: 'a machine is booted without regard to the version of its secrets',
    file: `${TENANT}/act-machine.ts`,
    find: 'version === undefined ? {} : { min_secrets_version: version }',
    replace: '{}',
  },
  {
    name: 'a look that Fly refuses is a verdict on the tenant',
    file: `${TENANT}/failures.ts`,
    find: "step.kind === 'observe' && failure.kind === 'terminal'",
    replace: 'false',
  },
  {
    name: 'of what was refused for good only one thing is remembered',
    file: `${TENANT}/failures.ts`,
    find: '[failure, ...(failure.others ?? [])]',
    replace: '[failure]',
  },
  {
    name: 'a machine that is not needed while suspended is waited for as briefly as one that is',
    file: `${TENANT}/parts/machine.ts`,
    find: 'suspended ? UNNAMED_GRACE_MS : NAMED_GRACE_MS',
    replace: 'NAMED_GRACE_MS',
  },
  {
    name: 'what Fly would make twice is waited for no longer than a list may lag',
    file: `${TENANT}/settings.ts`,
    find: 'UNNAMED_GRACE_MS = 45_000',
    replace: 'UNNAMED_GRACE_MS = 20_000',
  },
  {
    name: 'a deletion waits for a late app no longer than for anything else',
    file: `${TENANT}/settings.ts`,
    find: 'LAST_GRACE_MS = 60_000',
    replace: 'LAST_GRACE_MS = 20_000',
  },
  {
    name: 'the id of a volume that Fly has moved is forgotten with its machine',
    file: `${TENANT}/report.ts`,
    find: 'mountedVolumeId(machine) ?? before.volume.id',
    replace: 'before.volume.id',
  },
  // What is told
  {
    name: 'Ready does not look at what is left to do',
    file: `${TENANT}/findings.ts`,
    find: 'const first = open.find((part) => part.problem !== undefined) ?? open.find(isOpen);',
    replace: 'const first = open.find((part) => part.problem !== undefined);',
  },
  {
    name: 'a condition moves whenever it is told',
    file: 'tenant/conditions.ts',
    find: 'before && !flipped ? before.lastTransitionTime',
    replace: 'before && flipped ? before.lastTransitionTime',
  },
  {
    name: 'a status speaks of the generation to come',
    file: `${TENANT}/report.ts`,
    find: '    observedGeneration: tenant.metadata.generation,\n    ...(observed.vault',
    replace: '    observedGeneration: tenant.metadata.generation + 1,\n    ...(observed.vault',
  },
  {
    name: 'every pass finds something to write',
    file: `${TENANT}/report.ts`,
    find: '    hostname: hostnameOf(tenant, input.settings),\n',
    replace: '    hostname: `${hostnameOf(tenant, input.settings)}.${input.now}`,\n',
  },
  {
    name: 'the age of a certificate that tells none is fifty years',
    file: `${TENANT}/parts/certificate.ts`,
    find: "Date.parse(certificate.created_at ?? '') || now)",
    replace: "Date.parse(certificate.created_at ?? '') || 0)",
  },
  // Machines
  {
    name: 'a suspended machine is woken by traffic',
    file: `${TENANT}/parts/machine-config.ts`,
    find: "const proxied = state === 'Running';",
    replace: 'const proxied = state !== null;',
  },
  {
    name: 'a resumed machine is not started',
    file: `${TENANT}/parts/machine-boot.ts`,
    find: "if (machine.config?.metadata?.[METADATA.wake] !== 'yes') return false;",
    replace: "if (machine.config?.metadata?.[METADATA.wake] !== '') return false;",
  },
  {
    name: 'a machine that failed is started again at once',
    file: `${TENANT}/parts/machine-boot.ts`,
    find: 'graceLeftMs(input, BOOT_INTENT, RETRY_MS)',
    replace: '0',
  },
  {
    name: 'a machine that vanished while it booted is made again at once',
    file: `${TENANT}/parts/machine-boot.ts`,
    find: "graceLeftMs(input, 'machine', RETRY_MS)",
    replace: '0',
  },
  // The runtime
  {
    name: 'a key that changes during its pass is not run again',
    file: 'controller/queue.ts',
    find: '      if (wish) schedule.put(wish);\n    },\n    get depth',
    replace: '      if (wish) wishes.delete(key);\n    },\n    get depth',
  },
  {
    name: 'a pass that failed is not tried again',
    file: 'controller/controller.ts',
    find: '        this.#queue.hold(key, { afterMs, priority: PRIORITY.retry });\n',
    replace: '',
  },
  {
    name: 'changes of what is known already are not told',
    file: 'controller/reflector.ts',
    find: "    case 'MODIFIED':\n      sink.upsert(event.object);",
    replace: "      sink.upsert(event.object);\n      return;\n    case 'MODIFIED':",
  },
  {
    name: 'a settled tenant is never looked at again',
    file: `${TENANT}/settings.ts`,
    find: 'export const SWEEP_INTERVAL_MS = 300_000;',
    replace: 'export const SWEEP_INTERVAL_MS = 300_000_000;',
  },
  {
    name: 'waits for a rate limit last as long as a clock was set back',
    file: 'fly/limiter.ts',
    find: 'const time = (): number => clock.monotonic();',
    replace: 'const time = (): number => clock.now();',
  },
  {
    name: 'a delay lasts as much longer as a clock was set back',
    file: 'controller/schedule.ts',
    find: 'const time = (): number => clock.monotonic();',
    replace: 'const time = (): number => clock.now();',
  },
  {
    name: 'an answer of 404 is for good',
    file: 'fly/classify.ts',
    find: "404: { kind: 'transient', reason: 'NotFound' },",
    replace: "404: { kind: 'terminal', reason: 'BadRequest' },",
  },
  {
    name: 'an account over its quota stalls the tenant',
    file: `${TENANT}/failures.ts`,
    find: "new Set(['Unauthorized', 'Forbidden', 'QuotaExceeded'])",
    replace: "new Set(['Unauthorized'])",
  },
  // Whose turn it is
  {
    name: 'an edit waits behind whatever is due',
    file: 'loop.ts',
    find: 'return edited ? { priority: PRIORITY.edit, resetBackoff: true } : undefined;',
    replace: 'return edited ? { priority: PRIORITY.startup, resetBackoff: true } : undefined;',
  },
  {
    name: 'whoever comes last waits for as long as others want something',
    file: 'controller/schedule.ts',
    find: 'return turns % FAIR_TURN === 0 ? byAge.first() : byPriority.first();',
    replace: 'return turns < 0 ? byAge.first() : byPriority.first();',
  },
  // What is believed
  {
    name: 'an answer that was long in coming begins no grace anew',
    file: `${TENANT}/pass.ts`,
    find: 'if (this.#options.now() - since > NAMED_GRACE_MS) this.renew(intent);',
    replace: 'if (this.#options.now() - since > Infinity) this.renew(intent);',
  },
  {
    name: 'a machine that is not found when it is to be destroyed counts as gone',
    file: 'fly/machines.ts',
    find: '    decode: nothing,\n  };\n}\n\n/** A start that was refused',
    replace: '    decode: nothing,\n    means: { 404: nothing },\n  };\n}\n\n/** A start that was refused',
  },
  {
    name: 'a certificate that is not found when it is to be deleted counts as gone',
    file: 'fly/certificates.ts',
    find: '          decode: nothing,\n',
    replace: '          decode: nothing,\n          means: { 404: nothing },\n',
  },
  {
    name: 'a machine that Fly has moved since the look stalls the tenant',
    file: `${TENANT}/act-machine.ts`,
    find: "if (!(error instanceof FlyError) || error.kind !== 'terminal') return false;",
    replace: 'if (error !== undefined) return false;',
  },
  {
    name: 'a lagging list of machines is believed',
    file: `${TENANT}/observe.ts`,
    find: '(await fly.machines.get({ app, machineId: machine.id }, signal)) ?? machine',
    replace: 'await Promise.resolve(machine)',
  },
  {
    name: 'what the journal need not remember any more is a reason for a write',
    file: `${TENANT}/pass.ts`,
    find: 'writing.changes.length > 0 ? status',
    replace: 'writing.changes.length >= 0 ? status',
  },
];
