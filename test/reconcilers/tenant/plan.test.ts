import { describe, expect, it } from 'vitest';
import type { WireMachine } from '../../../src/fly/wire.ts';
import { UNNAMED_GRACE_MS } from '../../../src/reconcilers/tenant/settings.ts';
import type { Tenant } from '../../../src/tenant/schema.ts';
import { specSchema } from '../../../src/tenant/schema.ts';
import { converge, DIGEST, empty, IMAGE, makeTenant, NOW, plan, statusOf, UID, type State } from './model.ts';

/** Later than any grace, so that what is missing is believed to be missing. */
const LATER = NOW + 2 * UNNAMED_GRACE_MS;

function fresh(spec: Record<string, unknown> = {}): State {
  const tenant = makeTenant(spec);
  return { tenant, observed: empty(tenant) };
}

const running = converge(fresh());

/** The converged tenant with another spec, one generation later. */
function edited(state: State, spec: Record<string, unknown>): State {
  const { tenant } = state;
  const metadata = { ...tenant.metadata, generation: tenant.metadata.generation + 1 };
  return { ...state, tenant: { ...tenant, metadata, spec: specSchema.parse({ ...tenant.spec, ...spec }) } };
}

function deleted(state: State): State {
  const metadata = { ...state.tenant.metadata, deletionTimestamp: '2026-06-01T13:00:00Z' };
  return { ...state, tenant: { ...state.tenant, metadata } };
}

function withMachine(state: State, change: Partial<WireMachine>): State {
  const machines = state.observed.machines.map((machine) => ({ ...machine, ...change }));
  return { ...state, observed: { ...state.observed, machines } };
}

/** The proxy has put the machine to rest, as it does when nobody asks for it. */
function idle(state: State): State {
  return withMachine(state, { state: 'suspended' });
}

/** The volume has grown and its answer was recorded; the list of volumes does not say so yet. */
function extendedUnseen(state: State, volumeGb: number): State {
  const { tenant, observed } = edited(state, { volumeGb });
  const volume = { ...tenant.status!.volume!, sizeGb: volumeGb };
  return { observed, tenant: { ...tenant, status: { ...tenant.status, volume } } };
}

function kinds(state: State, now = LATER): string[] {
  return plan(state, now).steps.map(({ kind }) => kind);
}

function reasons(state: State, now = LATER): string[] {
  return Object.values(plan(state, now).parts).flatMap(
    (part) => part.problem?.reason ?? part.wait?.reason ?? [],
  );
}

const without = <T>(_: T): T[] => [];

interface Case {
  readonly name: string;
  readonly reason: string;
  readonly state: State;
  readonly want: readonly string[];
}

const CASES: readonly Case[] = [
  {
    name: 'a new tenant without an image gets its infrastructure and no machine',
    reason: 'a machine without an image cannot exist',
    state: fresh({ image: undefined }),
    want: [
      'generateCredentials',
      'createDatabase',
      'createApp',
      'allocateAddress',
      'allocateAddress',
      'createVolume',
      'setSecrets',
      'requestCertificate',
    ],
  },
  {
    name: 'a tenant that is as it should be needs nothing',
    reason: 'an empty plan is what converged means',
    state: running,
    want: [],
  },
  {
    name: 'a machine that the proxy put to rest is left alone',
    reason: 'starting it would make every idle tenant run for ever',
    state: idle(running),
    want: [],
  },
  {
    name: 'a machine that the proxy stopped is left alone',
    reason: 'with autostop the proxy may fall back from suspend to stop',
    state: withMachine(running, { state: 'stopped' }),
    want: [],
  },
  {
    name: 'a destroyed machine is made again',
    reason: 'that is drift',
    state: {
      ...running,
      observed: { ...running.observed, machines: without<WireMachine>(running.observed.machines[0]!) },
    },
    want: ['createMachine'],
  },
  {
    name: 'more memory is one update of the machine',
    reason: 'Fly replaces the config as a whole',
    state: edited(running, { memoryMb: 1024 }),
    want: ['updateMachine'],
  },
  {
    name: 'a database that may be reached from outside is opened',
    reason: 'the group of the role is what the server lets in by',
    state: edited(running, { externalDatabaseAccess: true }),
    want: ['setDatabaseAccess'],
  },
  {
    name: 'a database that may no longer be reached from outside is closed',
    reason: 'a wish that was taken back is one as well',
    state: {
      ...running,
      observed: { ...running.observed, database: { ...running.observed.database, externalAccess: true } },
    },
    want: ['setDatabaseAccess'],
  },
  {
    name: 'a bigger volume is extended in place',
    reason: 'volumes can only grow, and the machine need not know unless Fly says so',
    state: edited(running, { volumeGb: 3 }),
    want: ['extendVolume'],
  },
  {
    name: 'a volume bigger than the spec is not drift',
    reason: 'Fly may extend volumes by itself, and nobody can shrink one',
    state: {
      ...running,
      observed: { ...running.observed, volumes: running.observed.volumes.map((v) => ({ ...v, size_gb: 9 })) },
    },
    want: [],
  },
  {
    name: 'a volume that was extended and still shows its old size is not extended again',
    reason: 'a list may lag behind, and an extension whose answer is lost restarts the machine',
    state: extendedUnseen(running, 3),
    want: [],
  },
  {
    name: 'suspending updates the machine without launching it',
    reason:
      'the services lose autostart in the same call in which the machine goes down, so nothing can wake it',
    state: edited(running, { state: 'Suspended' }),
    want: ['updateMachine'],
  },
  {
    name: 'a suspended machine that somebody started is stopped',
    reason: 'the spec says Suspended',
    state: withMachine(converge(edited(running, { state: 'Suspended' })), { state: 'started' }),
    want: ['stopMachine'],
  },
  {
    name: 'a tenant that is suspended from the start gets no machine',
    reason: 'there is nothing to run',
    state: converge(fresh({ state: 'Suspended' })),
    want: [],
  },
  {
    name: 'a changed environment on Fly is put right',
    reason: 'env is compared whole: an unknown variable is drift as well',
    state: withMachine(running, {
      config: { ...running.observed.machines[0]!.config, env: { HOST: 'evil' } },
    }),
    want: ['updateMachine'],
  },
  {
    name: 'what Fly adds to its echo is not drift',
    reason: 'dns, init, autostop as a boolean and durations spelled otherwise come back on every answer',
    state: withMachine(running, {
      config: {
        ...running.observed.machines[0]!.config,
        dns: {},
        init: {},
        services: running.observed.machines[0]!.config!.services!.map((service) => ({
          ...service,
          checks: [{ ...service.checks![0]!, interval: '0m15s', timeout: 10_000_000_000 }],
        })),
      },
    }),
    want: [],
  },
  {
    name: 'foreign metadata on the machine is not drift',
    reason: 'only what carries our mark is changed',
    state: withMachine(running, {
      config: {
        ...running.observed.machines[0]!.config,
        metadata: { ...running.observed.machines[0]!.config!.metadata, team: 'blue' },
      },
    }),
    want: [],
  },
  {
    name: 'a missing address is allocated again',
    reason: 'without it nobody reaches the tenant',
    state: { ...running, observed: { ...running.observed, addresses: [running.observed.addresses[0]!] } },
    want: ['allocateAddress'],
  },
  {
    name: 'a second IPv6 address is released',
    reason: 'a lost answer made Fly hand out two; the older one stays',
    state: {
      ...running,
      observed: {
        ...running.observed,
        addresses: [
          ...running.observed.addresses.map((address) => ({ ...address, created_at: '2026-01-01' })),
          { ip: '2a09:8280:1::2', created_at: '2026-01-02' },
        ],
      },
    },
    want: ['releaseAddress'],
  },
  {
    name: 'a second volume that was never mounted is destroyed',
    reason: 'a lost answer made Fly create two; the recorded one stays',
    state: {
      ...running,
      observed: {
        ...running.observed,
        volumes: [
          ...running.observed.volumes,
          {
            id: 'vol_2',
            name: 'services',
            region: 'iad',
            size_gb: 1,
            state: 'created',
            fstype: '',
            blocks: 0,
          },
        ],
      },
    },
    want: ['destroyVolume'],
  },
  {
    name: 'a second volume that was once mounted is kept',
    reason: 'it may hold data, and no rule is worth a tenant’s data',
    state: {
      ...running,
      observed: {
        ...running.observed,
        volumes: [
          ...running.observed.volumes,
          {
            id: 'vol_2',
            name: 'services',
            region: 'iad',
            size_gb: 1,
            state: 'created',
            fstype: 'ext4',
            blocks: 100,
          },
        ],
      },
    },
    want: [],
  },
  {
    name: 'a secret that was changed on Fly is set again',
    reason: 'its digest is not the one that Fly answered when we set it',
    state: {
      ...running,
      observed: {
        ...running.observed,
        secrets: running.observed.secrets.map((secret) => ({ ...secret, digest: 'other' })),
      },
    },
    want: ['setSecrets'],
  },
  {
    name: 'a changed vault sets secrets and then boots the machine with them',
    reason: 'secrets reach a machine only when it boots',
    state: {
      ...running,
      observed: { ...running.observed, vault: { ...running.observed.vault!, revision: 2 } },
    },
    want: ['setSecrets', 'updateMachine'],
  },
  {
    name: 'a rotation begins with a new password',
    reason: 'the rest follows from the vault’s new revision',
    state: edited(running, { credentialsRotatedAt: '2026-06-01T12:30:00Z' }),
    want: ['rotateCredentials'],
  },
  {
    name: 'a custom hostname gets a certificate',
    reason: 'one for each',
    state: edited(running, { hostnames: ['app.example.com'] }),
    want: ['requestCertificate'],
  },
  {
    name: 'a deleted tenant is taken down from the machine to the credentials',
    reason: 'the app last of what is on Fly, the database after the machine that uses it',
    state: deleted(running),
    want: [
      'destroyMachine',
      'destroyVolume',
      'deleteCertificate',
      'releaseAddress',
      'releaseAddress',
      'deleteApp',
      'dropDatabase',
      'forgetCredentials',
    ],
  },
  {
    name: 'an orphaned tenant is not touched when it is deleted',
    reason: 'spec.deletionPolicy says so',
    state: deleted(edited(running, { deletionPolicy: 'Orphan' })),
    want: [],
  },
];

describe('the plan', () => {
  it.each(CASES)('$name', ({ state, want, reason }) => {
    expect(kinds(state), reason).toEqual(want);
  });

  it('is the same for the same input', () => {
    const state = fresh();
    expect(plan(state)).toEqual(plan(state));
  });

  it('makes the machine only after all that it needs', () => {
    const create = plan(fresh()).steps.find((step) => step.kind === 'createMachine');
    expect(create?.needs).toEqual(['database', 'app', 'network', 'volume', 'secrets']);
  });

  it('makes one of each and then nothing', () => {
    const made = running.done.map(({ kind, target }) => `${kind} ${target}`);
    expect(new Set(made).size).toBe(made.length);
    expect(running.tenant.status?.phase).toBe('running');
    expect(plan(running).converged).toBe(true);
  });
});

describe('what was asked for a moment ago', () => {
  const asked = (intent: string): State => {
    const tenant: Tenant = {
      ...makeTenant(),
      status: { requested: { [intent]: new Date(NOW - 1_000).toISOString() } },
    };
    const observed = { ...running.observed, machines: [], volumes: [], addresses: [] };
    return { tenant, observed };
  };

  it.each([
    ['volume', 'createVolume', 'VolumeNotVisibleYet'],
    ['machine', 'createMachine', 'MachineNotVisibleYet'],
  ])('is not asked for again while it may still show: %s', (intent, kind, reason) => {
    const state =
      intent === 'machine'
        ? { ...asked(intent), observed: { ...running.observed, machines: [] } }
        : asked(intent);
    expect(kinds(state, NOW)).not.toContain(kind);
    expect(reasons(state, NOW)).toContain(reason);
    expect(kinds(state, LATER)).toContain(kind);
  });

  it.each([
    ['its image is taken out of the spec', { image: undefined }],
    ['the tenant is suspended', { state: 'Suspended' }],
  ])('is waited for also when it is not wanted any more: %s', (_, spec) => {
    const { tenant } = edited(asked('machine'), spec);
    const image = 'image' in spec ? ({ state: 'none' } as const) : running.observed.image;
    const state = { tenant, observed: { ...running.observed, machines: [], image } };
    expect(reasons(state, NOW)).toContain('MachineNotVisibleYet');
    expect(reasons(state, LATER)).toEqual([]);
  });

  it('is waited for by address: the other address is allocated meanwhile', () => {
    const steps = plan(asked('v6'), NOW).steps.filter(({ kind }) => kind === 'allocateAddress');
    expect(steps.map((step) => 'type' in step && step.type)).toEqual(['shared_v4']);
  });
});

describe('a lost volume', () => {
  const lost: State = { ...running, observed: { ...running.observed, volumes: [], machines: [] } };

  it('blocks the tenant instead of being replaced by an empty one', () => {
    expect(kinds(lost)).not.toContain('createVolume');
    const problem = plan(lost, LATER).parts.volume.problem;
    expect(problem?.reason).toBe('VolumeLost');
    expect(problem?.message).toContain('vol_1');
    expect(problem?.message).toContain('acknowledgedVolumeLoss');
  });

  it('is replaced once the spec names it', () => {
    expect(kinds(edited(lost, { acknowledgedVolumeLoss: 'vol_1' }))).toContain('createVolume');
  });

  it('is not replaced when the spec names another one', () => {
    expect(kinds(edited(lost, { acknowledgedVolumeLoss: 'vol_9' }))).not.toContain('createVolume');
  });

  it('is followed when Fly moved the data to another volume under the same machine', () => {
    const volumes = [{ ...running.observed.volumes[0]!, id: 'vol_moved', attached_machine_id: 'm1' }];
    const machines = running.observed.machines.map((machine) => ({
      ...machine,
      config: { ...machine.config, mounts: [{ volume: 'vol_moved', path: '/app/services' }] },
    }));
    const moved: State = { ...running, observed: { ...running.observed, volumes, machines } };
    expect(kinds(moved)).toEqual([]);
    expect(statusOf(moved, LATER).volume?.id).toBe('vol_moved');
  });
});

describe('restarts, resumes and deploys', () => {
  it('restart a running machine with one update, and not again', () => {
    const asked = edited(running, { restartedAt: '2026-06-01T12:10:00Z' });
    const [step, ...more] = plan(asked, LATER).steps;
    expect(more).toEqual([]);
    expect(step).toMatchObject({ kind: 'updateMachine', launch: true });
    const served = converge(asked, LATER);
    expect(served.done.map(({ kind }) => kind)).toEqual(['updateMachine']);
    expect(plan(served, LATER).converged).toBe(true);
  });

  it('do nothing for a restart that is older than the last one served, or was taken out of the spec', () => {
    const served = converge(edited(running, { restartedAt: '2026-06-01T12:10:00Z' }), LATER);
    expect(kinds(edited(served, { restartedAt: '2026-06-01T12:00:00Z' }))).toEqual([]);
    expect(kinds(edited(served, { restartedAt: undefined }))).toEqual([]);
  });

  it('start a resumed machine explicitly, since an update of a stopped one may leave it stopped', () => {
    const suspended = converge(edited(running, { state: 'Suspended' }), LATER);
    expect(suspended.tenant.status?.phase).toBe('suspended');
    const resumed = converge(edited(suspended, { state: 'Running' }), LATER);
    expect(resumed.done.map(({ kind }) => kind)).toEqual(['updateMachine', 'startMachine']);
    expect(resumed.tenant.status?.phase).toBe('running');
  });

  it('take autostart from a suspended machine', () => {
    const suspended = converge(edited(running, { state: 'Suspended' }), LATER);
    const [service] = suspended.observed.machines[0]!.config!.services!;
    expect(service).toMatchObject({ autostart: false, autostop: 'off' });
  });

  it('leave an idle machine asleep when only its size changes', () => {
    const scaled = converge(edited(idle(running), { memoryMb: 1024 }), LATER);
    expect(scaled.done.map(({ kind }) => kind)).toEqual(['updateMachine']);
    expect(scaled.observed.machines[0]!.state).toBe('stopped');
  });

  it('wake an idle machine for a new image, so that the deploy is seen to work', () => {
    const digest = `sha256:${'b'.repeat(64)}`;
    const image = `registry.fly.io/systemprompt-images@${digest}`;
    const asked = edited(idle(running), { image });
    const state: State = {
      ...asked,
      observed: { ...asked.observed, image: { state: 'resolved', reference: image, digest } },
    };
    const deployed = converge(state, LATER);
    expect(deployed.done.map(({ kind }) => kind)).toEqual(['updateMachine', 'startMachine']);
    expect(deployed.observed.machines[0]!.config!.image).toBe(image);
  });

  it('run the digest, not the tag', () => {
    expect(running.observed.machines[0]!.config!.image).toBe(`registry.fly.io/systemprompt-images@${DIGEST}`);
  });

  it('keep the intent of starting across a crash between update and start', () => {
    const suspended = converge(edited(running, { state: 'Suspended' }), LATER);
    const resuming = edited(suspended, { state: 'Running' });
    const updated = plan(resuming, LATER).steps[0]!;
    expect(updated.kind).toBe('updateMachine');
    const machine = resuming.observed.machines[0]!;
    const crashed = withMachine(resuming, {
      config: 'config' in updated ? updated.config : {},
      events: [{ type: 'update', status: 'replacing' }, ...(machine.events ?? [])],
    });
    expect(kinds(crashed)).toEqual(['startMachine']);
  });
});

describe('a machine that has started', () => {
  const available = (checks: WireMachine['checks']) =>
    statusOf(withMachine(running, { checks: checks ?? [] })).conditions?.find(
      ({ type }) => type === 'Available',
    );

  it('is not called available before its health check has a result', () => {
    expect(available([])).toMatchObject({ status: 'Unknown', reason: 'NoHealthYet' });
    const name = 'servicecheck-00-http-8080';
    expect(available([{ name, status: 'critical' }])).toMatchObject({ reason: 'HealthCheckFailing' });
    expect(available([{ name, status: 'passing' }])).toMatchObject({ status: 'True', reason: 'Serving' });
  });

  it('is not judged by the checks that Fly makes up', () => {
    const fake = { name: 'bg_deployments_compat_1', status: 'critical' };
    expect(available([fake])).toMatchObject({ reason: 'NoHealthYet' });
    expect(available([fake, { name: 'servicecheck-00-http-8080', status: 'passing' }])).toMatchObject({
      status: 'True',
    });
  });
});

describe('a machine that is on its way to another state', () => {
  const since = (forMs: number): string => new Date(LATER - forMs).toISOString();

  it.each([
    'creating',
    'starting',
    'replacing',
    'updating',
    'stopping',
    'suspending',
    'restarting',
    'pending',
  ])('is neither changed nor replaced: %s', (state) => {
    const changed = edited(withMachine(running, { state, updated_at: since(599_000) }), { memoryMb: 1024 });
    expect(kinds(changed)).toEqual([]);
    expect(reasons(changed)).toEqual(['MachineInTransition']);
  });

  it('and does not arrive is called wedged after ten minutes', () => {
    const wedged = withMachine(running, { state: 'stopping', updated_at: since(601_000) });
    expect(reasons(wedged)).toEqual(['MachineWedged']);
    expect(kinds(wedged)).toEqual([]);
  });
});

describe('a machine that is to be made', () => {
  it('goes where its volume is, by the id of the volume, wherever the spec would have it', () => {
    const volumes = [{ ...running.observed.volumes[0]!, id: 'vol_far', region: 'ord' }];
    const state = { ...fresh(), observed: { ...running.observed, volumes, machines: [] } };
    expect(plan(state).steps.find(({ kind }) => kind === 'createMachine')).toMatchObject({
      region: 'ord',
      config: { mounts: [{ volume: 'vol_far' }] },
    });
  });
});

describe('an image that is not there', () => {
  const missing: State = (() => {
    const tenant = makeTenant();
    return { tenant, observed: { ...empty(tenant), image: { state: 'missing', reference: IMAGE } } };
  })();

  it('is waited for at first, since a push becomes visible with a delay', () => {
    expect(reasons(missing)).toContain('ImageNotVisibleYet');
  });

  it('then stalls the tenant with a message that names it, while the infrastructure goes on', () => {
    const seen: State = {
      ...missing,
      tenant: { ...missing.tenant, status: { requested: { 'image/1': new Date(NOW).toISOString() } } },
    };
    expect(plan(seen, LATER).parts.image.problem?.message).toContain(IMAGE);
    expect(kinds(seen)).toContain('createApp');
    expect(kinds(seen)).not.toContain('createMachine');
    expect(statusOf(seen, LATER)).toMatchObject({ phase: 'failed' });
  });
});

describe('what is not ours', () => {
  it('stops a deletion: a machine without our mark would die with the app', () => {
    const stranger = {
      id: 'm9',
      name: 'stranger',
      region: 'iad',
      state: 'started',
      instance_id: 'x',
      config: {},
    };
    const state = deleted({
      ...running,
      observed: { ...running.observed, machines: [...running.observed.machines, stranger] },
    });
    expect(plan(state, LATER).parts.machine.problem?.reason).toBe('ForeignMachine');
    expect(
      plan(state, LATER).steps.every((step) => step.needs.length > 0 || step.kind === 'dropDatabase'),
    ).toBe(true);
  });

  it('blocks an app whose name another organisation owns', () => {
    const state: State = { ...fresh(), observed: { ...empty(makeTenant()), appTaken: true } };
    expect(plan(state).parts.app.problem?.reason).toBe('AppNameTaken');
    expect(kinds(state)).not.toContain('createApp');
  });

  it('is taken over when the spec adopts it', () => {
    const tenant = makeTenant({ adopt: { app: 'old-app' } });
    const machine = {
      id: 'm7',
      name: 'web',
      region: 'iad',
      state: 'started',
      instance_id: 'v1',
      config: { mounts: [{ volume: 'vol_7', path: '/data' }] },
    };
    const volume = {
      id: 'vol_7',
      name: 'stuff',
      region: 'iad',
      size_gb: 1,
      state: 'created',
      attached_machine_id: 'm7',
    };
    const app = { id: 'a7', name: 'old-app', organization: { slug: 'systemprompt' } };
    const state: State = {
      tenant,
      observed: { ...empty(tenant), app, machines: [machine], volumes: [volume] },
    };
    const adopted = converge(state, LATER);
    expect(adopted.done.map(({ kind }) => kind)).not.toContain('createVolume');
    expect(adopted.done.map(({ kind }) => kind)).not.toContain('createMachine');
    expect(adopted.observed.machines[0]!.config!.metadata).toMatchObject({ landlord_tenant: UID });
  });
});

describe('a volume that Fly has moved', () => {
  const volume = running.observed.volumes[0]!;
  const machine = running.observed.machines[0]!;
  const mounts = [{ ...machine.config!.mounts![0]!, volume: 'vol_moved' }];
  const moved = withMachine(running, { config: { ...machine.config!, mounts } });

  it('is waited for while the list still shows the old one, and its machine is never destroyed for that', () => {
    expect(kinds(moved)).toEqual([]);
    expect(reasons(moved)).toEqual(['VolumeNotVisibleYet']);
  });

  it('is lost when it does not show for a minute, and replaced when its owner says so', () => {
    const told = { ...moved, tenant: { ...moved.tenant, status: statusOf(moved, LATER) } };
    expect(reasons(told, LATER + 59_000)).toEqual(['VolumeNotVisibleYet']);
    expect(reasons(told, LATER + 60_000)).toEqual(['VolumeLost']);
    const acknowledged = edited(told, { acknowledgedVolumeLoss: 'vol_moved' });
    const nothing = { ...acknowledged, observed: { ...acknowledged.observed, volumes: [] } };
    expect(kinds(nothing, LATER + 60_000)).toContain('createVolume');
    const made = { ...nothing, observed: { ...nothing.observed, volumes: [{ ...volume, id: 'vol_new' }] } };
    expect(kinds(made, LATER + 60_000)).toEqual(['destroyMachine']);
    expect(statusOf(made, LATER + 60_000).volume?.id).toBe('vol_new');
  });

  it('is followed as soon as it shows, although the list may still show the old one as well', () => {
    const copy = { ...volume, id: 'vol_moved' };
    const both = { ...moved, observed: { ...moved.observed, volumes: [volume, copy] } };
    expect(kinds(both)).toEqual([]);
    expect(statusOf(both).volume?.id).toBe('vol_moved');
  });

  it('does not wake the idle machine that mounts it', () => {
    const events = [{ type: 'launch', status: 'created' }, ...(machine.events ?? [])];
    const updated = [
      { type: 'start', status: 'started' },
      { type: 'update', status: 'stopped' },
    ];
    expect(kinds(withMachine(running, { state: 'stopped', events }))).toEqual([]);
    const launched = [{ type: 'launch', status: 'created' }, ...updated];
    expect(kinds(withMachine(running, { state: 'stopped', events: launched }))).toEqual([]);
  });
});

describe('a part that was settled before another part had its turn', () => {
  it('keeps the machine waiting, so that a restart and a rotation asked for at once boot it once', () => {
    const at = '2026-06-01T13:00:00Z';
    const state = edited(running, { restartedAt: at, credentialsRotatedAt: at });
    expect(plan(state, LATER).steps).toMatchObject([
      { kind: 'rotateCredentials', needs: [] },
      { kind: 'updateMachine', needs: ['database', 'secrets'] },
    ]);
  });
});

describe('the deletion of a tenant whose app is owned by another organisation', () => {
  it('never touches that app', () => {
    const app = { ...running.observed.app!, organization: { slug: 'others' } };
    const state = deleted({ ...running, observed: { ...empty(running.tenant), app } });
    expect(kinds(state)).not.toContain('deleteApp');
  });
});

describe('an adopted app with more than one machine', () => {
  it('is left alone, since nobody can say which of them is the tenant', () => {
    const { tenant, observed } = fresh({ adopt: { app: 'by-hand' } });
    const [machine] = running.observed.machines;
    const strangers = ['m1', 'm2'].map((id) => ({ ...machine!, id, name: id, config: {} }));
    const app = { id: 'a', name: 'by-hand' };
    const state = { tenant, observed: { ...observed, app, machines: strangers } };
    expect(reasons(state)).toEqual(['AdoptionAmbiguous']);
    expect(kinds(state)).not.toContain('createMachine');
  });
});

describe('a certificate that was requested a moment ago', () => {
  it('is looked at again soon, although the answer to the request tells no age', () => {
    const { tenant, observed } = running;
    const certificates = observed.certificates.map(({ hostname }) => ({ hostname, status: 'pending' }));
    const { certificate } = plan({ tenant, observed: { ...observed, certificates } }, NOW).parts;
    expect(certificate.recheckMs).toBe(10_000);
  });
});

describe('the journal', () => {
  it('that a clock wrote which was set back since begins its grace anew, and holds nothing up for an hour', () => {
    const { tenant } = running;
    const hour = 3_600_000;
    const requested = { app: new Date(NOW + hour).toISOString() };
    const state = { ...running, tenant: { ...tenant, status: { ...tenant.status, requested } } };
    expect(statusOf(state, NOW).requested).toEqual({ app: new Date(NOW).toISOString() });
    const lost = { ...state, observed: empty(tenant) };
    expect(plan(lost, NOW).parts.app.wait?.reason).toBe('AppNotVisibleYet');
    const later = { ...lost, tenant: { ...tenant, status: statusOf(lost, NOW) } };
    expect(kinds(later, NOW + 2 * UNNAMED_GRACE_MS)).toContain('createApp');
  });

  it('forgets certificates that are neither wanted nor there, so that it stays small', () => {
    const hostnames = ['old.example.com'];
    const before = converge(fresh({ hostnames }));
    const requested = {
      ...before.tenant.status?.requested,
      'certificate/old.example.com': new Date(NOW).toISOString(),
    };
    const noted = { ...before, tenant: { ...before.tenant, status: { ...before.tenant.status, requested } } };
    const without = edited(noted, { hostnames: [] });
    expect(statusOf(without, LATER).requested).toHaveProperty(['certificate/old.example.com']);
    const gone = {
      ...without,
      observed: {
        ...without.observed,
        certificates: without.observed.certificates.filter(({ hostname }) => !hostnames.includes(hostname)),
      },
    };
    expect(statusOf(gone, LATER).requested ?? {}).not.toHaveProperty(['certificate/old.example.com']);
  });
});
