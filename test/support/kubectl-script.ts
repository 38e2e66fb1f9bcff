/**
 * What a person does with kubectl, from the first look to the last delete. The same stories for whatever stands behind
 * a kubeconfig: the daemon alone, or a cluster in which the daemon runs as a controller. They build on each other, and
 * begin with no tenants.
 */
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { PHASES } from '../../src/tenant/phases.ts';
import type { Tenant } from '../../src/tenant/schema.ts';
import { eventually } from './eventually.ts';
import type { Kubectl } from './kubectl.ts';
import { worldOf } from './operator.ts';

export interface Subject {
  readonly kubectl: Kubectl;
  /** The simulated Fly on which the tenants live; it holds the image of the examples. */
  readonly simulatorUrl: string;
}

const EXAMPLES = fileURLToPath(new URL('../../examples/tenants.yaml', import.meta.url));
const RESOURCE = 'tenant.cloud.systemprompt.io';
const READY = ['wait', '--for=condition=Ready', '--timeout=60s'];
const STORY_TIMEOUT_MS = 240_000;

/** Registers the stories, one `it` each. The subject is asked for when the first of them runs. */
export function tellKubectlStories(subjectOf: () => Subject): void {
  const story = (name: string, tell: (subject: Subject) => Promise<void>): void =>
    it(name, () => tell(subjectOf()), STORY_TIMEOUT_MS);

  story('looks around: what is there, and what does it mean?', lookAround);
  story('applies the examples and watches them pass through their phases', applyExamples);
  story('reads them in every form', readInEveryForm);
  story('is told of mistakes, and nothing is changed by them', makeMistakes);
  story('sees a difference before it is made, and then makes it', changeMemory);
  story('patches, labels, annotates and edits', changeInEveryWay);
  story('reads what happened', readEvents);
  story('deletes, and gets the prompt back when Fly holds nothing any more', deleteOne);
  story('deletes by label, and all that is left', deleteTheRest);
}

const lines = (text: string): string[] => text.split('\n').filter((line) => line.trim() !== '');

/** Columns of a table by their header, row by row; empty cells are empty strings. */
function table(text: string): Record<string, string>[] {
  const [header = '', ...rows] = lines(text);
  const columns = [...header.matchAll(/\S+( \S+)*/g)].map((match, index, all) => ({
    name: match[0],
    from: match.index,
    to: all[index + 1]?.index,
  }));
  return rows.map((row) =>
    Object.fromEntries(columns.map(({ name, from, to }) => [name, row.slice(from, to).trim()])),
  );
}

const tenant = async (kubectl: Kubectl, name: string): Promise<Tenant> =>
  JSON.parse(await kubectl.read('get', 'tn', name, '-o', 'json')) as Tenant;

async function lookAround({ kubectl }: Subject): Promise<void> {
  expect(table(await kubectl.read('api-resources', '--api-group=cloud.systemprompt.io'))).toEqual([
    {
      NAME: 'tenants',
      SHORTNAMES: 'tn',
      APIVERSION: 'cloud.systemprompt.io/v1alpha1',
      NAMESPACED: 'true',
      KIND: 'Tenant',
    },
  ]);
  expect(await kubectl.read('auth', 'can-i', 'delete', 'tenants')).toBe('yes\n');
  expect(await kubectl.read('auth', 'whoami')).toContain('Username');
  expect(await kubectl.read('explain', 'tenant.spec')).toMatch(
    /\n {2}region\t<string> -required-\n {4}Fly region\./,
  );
  const image = await kubectl.read('explain', 'tn.spec.image');
  expect(image).toContain('FIELD: image <string>');
  expect(image).toContain('Image to run. Absent: infrastructure only, no machine.');
  expect(await kubectl.read('explain', 'tenant.spec.memoryMb')).toContain(
    'ENUM:\n    256\n    512\n    1024\n    2048',
  );
  expect(await kubectl.read('explain', 'tenant.metadata.labels')).toContain('labels <map[string]string>');
  expect((await kubectl.run(['get', 'tenants'])).stderr).toBe('No resources found in default namespace.\n');
}

async function applyExamples({ kubectl }: Subject): Promise<void> {
  const watch = kubectl.start(['get', 'tn', '--watch', '--output-watch-events']);
  const apply = () => kubectl.read('apply', '-f', EXAMPLES);
  const names = ['hello', 'newcomer', 'sleeper'];
  expect(lines(await apply())).toEqual(names.map((name) => `${RESOURCE}/${name} created`));
  const ready = await kubectl.read(...READY, 'tn', '--all');
  expect(lines(ready).sort()).toEqual(names.map((name) => `${RESOURCE}/${name} condition met`));
  // A watch may be behind a wait.
  await eventually(() => phasesOf(watch.stdout(), 'hello').includes('running'), {
    what: 'the watch to tell that it runs',
  });
  await watch.interrupt();
  expect(phasesOf(watch.stdout(), 'hello')).toEqual(
    expect.arrayContaining(['provisioning', 'deploying', 'running']),
  );
  expect(watch.stdout()).toMatch(/^EVENT +NAME +READY +REASON +PHASE +IMAGE +MEMORY +REGION +AGE\n/);
  expect(watch.stdout()).toMatch(/^ADDED +hello /m);
  expect(lines(await apply())).toEqual(names.map((name) => `${RESOURCE}/${name} unchanged`));
}

/** Every phase that a watch has told of one tenant, in order. */
function phasesOf(output: string, name: string): string[] {
  return lines(output)
    .filter((line) => line.split(/\s+/)[1] === name)
    .flatMap((line) => PHASES.filter((phase) => line.split(/\s+/).includes(phase)));
}

async function readInEveryForm({ kubectl }: Subject): Promise<void> {
  const image = 'registry.fly.io/systemprompt-images:hello';
  const rows = table(await kubectl.read('get', 'tn')).map(({ AGE, ...row }) => {
    expect(AGE).toMatch(/^[0-9]+(s|m)([0-9]+s)?$/);
    return row;
  });
  const hello = {
    NAME: 'hello',
    READY: 'True',
    REASON: 'Running',
    PHASE: 'running',
    IMAGE: image,
    MEMORY: '512',
    REGION: 'iad',
  };
  expect(rows).toEqual([
    hello,
    {
      ...hello,
      NAME: 'newcomer',
      REASON: 'AwaitingDeploy',
      PHASE: 'awaiting_deploy',
      IMAGE: '',
      MEMORY: '256',
      REGION: 'fra',
    },
    { ...hello, NAME: 'sleeper', REASON: 'Suspended', PHASE: 'suspended', MEMORY: '1024', REGION: 'lhr' },
  ]);
  const [wide] = table(await kubectl.read('get', 'tn', 'hello', '-o', 'wide'));
  expect(wide?.['MESSAGE']).toBe('running, as the spec wants it');
  expect(lines(await kubectl.read('get', 'all', '-A', '-o', 'name'))).toContain(`${RESOURCE}/hello`);
  const named = ['--field-selector', 'metadata.name=sleeper', '-o', 'name'];
  expect(await kubectl.read('get', 'tn', ...named)).toBe(`${RESOURCE}/sleeper\n`);
  const sorted = ['--sort-by=.spec.memoryMb', '-o', 'custom-columns=NAME:.metadata.name,MB:.spec.memoryMb'];
  expect(table(await kubectl.read('get', 'tn', ...sorted))).toEqual([
    { NAME: 'newcomer', MB: '256' },
    { NAME: 'hello', MB: '512' },
    { NAME: 'sleeper', MB: '1024' },
  ]);
  expect(await kubectl.read('get', 'tn', 'hello', '-o', 'jsonpath={.status.machine.memoryMb}')).toBe('512');
  expect(table(await kubectl.read('get', 'tn', 'hello', '--subresource=status'))[0]).toMatchObject(hello);
  expect(await kubectl.read('get', 'tn', 'hello', '-o', 'yaml')).toMatch(
    /^apiVersion: cloud\.systemprompt\.io\/v1alpha1\nkind: Tenant\n/,
  );
}

async function makeMistakes({ kubectl }: Subject): Promise<void> {
  const before = await tenant(kubectl, 'hello');
  const manifest = (await readFile(EXAMPLES, 'utf8')).split('---')[0] ?? '';
  const typo = manifest.replace('image:', 'imag:');
  const strict = await kubectl.run(['apply', '-f', '-'], { input: typo });
  expect(strict.code).toBe(1);
  expect(strict.stderr).toContain('strict decoding error: unknown field "spec.imag"');
  const created = await kubectl.run(['create', '-f', '-'], {
    input: typo.replace('name: hello', 'name: typo'),
  });
  expect(created.stderr).toMatch(
    /^Error from server \(BadRequest\): .*strict decoding error: unknown field "spec\.imag"\n$/,
  );
  const size = await kubectl.run(['apply', '-f', '-'], {
    input: manifest.replace('memoryMb: 512', 'memoryMb: 300'),
  });
  expect(size.stderr).toMatch(/The Tenant "hello" is invalid: [^]*spec\.memoryMb: /);
  const owner = await kubectl.run([
    'patch',
    'tn',
    'hello',
    '--type=merge',
    '-p',
    '{"spec":{"owner":"other"}}',
  ]);
  expect(owner.stderr).toMatch(/The Tenant "hello" is invalid: [^]*spec\.owner: .*cannot be changed/);
  expect((await kubectl.run(['create', '-f', '-'], { input: manifest })).stderr).toContain('(AlreadyExists)');
  expect((await kubectl.run(['get', 'tn', 'nobody'])).stderr).toBe(
    'Error from server (NotFound): tenants.cloud.systemprompt.io "nobody" not found\n',
  );
  const strategic = await kubectl.run(['patch', 'tn', 'hello', '-p', '{}']);
  expect(strategic.stderr).toContain('application/strategic-merge-patch+json is not supported');
  const test = '[{"op":"test","path":"/spec/plan","value":"other"},{"op":"remove","path":"/spec/image"}]';
  expect((await kubectl.run(['patch', 'tn', 'hello', '--type=json', '-p', test])).code).toBe(1);
  // Its status may have been written meanwhile, by the loop.
  const after = await tenant(kubectl, 'hello');
  expect([after.metadata.generation, after.spec]).toEqual([before.metadata.generation, before.spec]);
}

async function changeMemory({ kubectl, simulatorUrl }: Subject): Promise<void> {
  const larger = (await readFile(EXAMPLES, 'utf8')).replace('memoryMb: 512', 'memoryMb: 1024');
  const file = await kubectl.file('larger.yaml', larger);
  const diff = await kubectl.run(['diff', '-f', file]);
  expect(diff.code).toBe(1);
  expect(diff.stdout).toMatch(/\n-( +)memoryMb: 512\n\+\1memoryMb: 1024\n/);
  expect(lines(await kubectl.read('apply', '--dry-run=server', '-f', file))).toContain(
    `${RESOURCE}/hello configured (server dry run)`,
  );
  expect((await tenant(kubectl, 'hello')).spec.memoryMb).toBe(512);
  expect(lines(await kubectl.read('apply', '-f', file))).toEqual([
    `${RESOURCE}/hello configured`,
    `${RESOURCE}/newcomer unchanged`,
    `${RESOURCE}/sleeper unchanged`,
  ]);
  expect((await kubectl.run(['diff', '-f', file])).code).toBe(0);
  await kubectl.read('wait', '--for=jsonpath={.status.machine.memoryMb}=1024', '--timeout=180s', 'tn/hello');
  const { metadata, status } = await tenant(kubectl, 'hello');
  expect(status?.machine?.memoryMb).toBe(1024);
  const world = await worldOf(simulatorUrl);
  expect(world.apps[`sp-${metadata.uid}`]?.machines[0]?.versions).toHaveLength(2);
}

async function changeInEveryWay({ kubectl }: Subject): Promise<void> {
  const said = (verb: string) => `${RESOURCE}/newcomer ${verb}\n`;
  expect(await kubectl.read('label', 'tn', 'newcomer', 'tier=gold')).toBe(said('labeled'));
  expect(await kubectl.read('annotate', 'tn', 'newcomer', 'example.com/note=hello there')).toBe(
    said('annotated'),
  );
  const add =
    '[{"op":"test","path":"/spec/plan","value":"free"},{"op":"add","path":"/spec/env/LOG_LEVEL","value":"debug"}]';
  expect(await kubectl.read('patch', 'tn', 'newcomer', '--type=json', '-p', add)).toBe(said('patched'));
  const merge = '{"spec":{"plan":"basic"}}';
  expect(await kubectl.read('patch', 'tn', 'newcomer', '--type=merge', '-p', merge)).toBe(said('patched'));
  const editor = await kubectl.file(
    'editor',
    '#!/bin/sh\nsed -i "s/LOG_LEVEL: debug/LOG_LEVEL: trace/" "$1"\n',
  );
  const edited = await kubectl.run(['edit', 'tn', 'newcomer'], { env: { EDITOR: editor } });
  expect(edited.stdout).toBe(said('edited'));
  const changed = await tenant(kubectl, 'newcomer');
  expect(changed).toMatchObject({
    metadata: { labels: { tier: 'gold' }, annotations: { 'example.com/note': 'hello there' } },
    spec: { plan: 'basic', env: { LOG_LEVEL: 'trace' } },
  });
  for (const selector of ['tier=gold', 'tier in (gold,iron)', 'tier,tier notin (iron)'])
    expect([selector, await kubectl.read('get', 'tn', '-l', selector, '-o', 'name')]).toEqual([
      selector,
      `${RESOURCE}/newcomer\n`,
    ]);
  const file = await kubectl.file(
    'replaced.json',
    JSON.stringify({ ...changed, spec: { ...changed.spec, plan: 'pro' } }),
  );
  // The loop may have written its status in between, which is a conflict, as it must be.
  await eventually(async () => (await kubectl.run(['replace', '-f', file])).code === 0 || refresh(kubectl), {
    what: 'the replacement',
  });
  expect((await tenant(kubectl, 'newcomer')).spec.plan).toBe('pro');
}

async function refresh(kubectl: Kubectl): Promise<false> {
  const { metadata, spec, ...rest } = await tenant(kubectl, 'newcomer');
  await kubectl.file('replaced.json', JSON.stringify({ ...rest, metadata, spec: { ...spec, plan: 'pro' } }));
  return false;
}

async function readEvents({ kubectl }: Subject): Promise<void> {
  await kubectl.read(...READY, 'tn', '--all');
  await eventually(
    async () => (await kubectl.read('events', '--for', 'tenant/hello')).includes('TenantReady'),
    {
      what: 'the event that tells that it is ready',
    },
  );
  const described = await kubectl.read('describe', 'tn', 'hello');
  expect(described).toMatch(/^Name: +hello\nNamespace: +default\n/);
  expect(described).toMatch(/\nEvents:\n {2}Type +Reason +Age +From +Message\n/);
  expect(described.slice(described.indexOf('\nEvents:'))).toMatch(
    / Normal +MachineCreated +\S+( \(x\d+ over \S+\))? +landlord +/,
  );
  const events = table(await kubectl.read('get', 'events', '--field-selector', 'involvedObject.name=hello'));
  expect(events.map(({ REASON }) => REASON)).toEqual(
    expect.arrayContaining(['AppCreated', 'MachineCreated']),
  );
  for (const { OBJECT } of events) expect(OBJECT).toBe('tenant/hello');
}

async function deleteOne({ kubectl, simulatorUrl }: Subject): Promise<void> {
  const { metadata } = await tenant(kubectl, 'hello');
  const app = `sp-${metadata.uid}`;
  expect((await worldOf(simulatorUrl)).apps[app]?.machines).toHaveLength(1);
  expect(await kubectl.read('delete', 'tn', 'hello', '--dry-run=server')).toContain(
    'deleted (server dry run)',
  );
  const waiting = kubectl.start(['wait', '--for=delete', '--timeout=180s', 'tn/hello']);
  expect(await kubectl.read('delete', 'tn', 'hello')).toMatch(
    /^tenant\.cloud\.systemprompt\.io "hello" deleted/,
  );
  expect((await worldOf(simulatorUrl)).apps[app]).toBeUndefined();
  expect(await waiting.done).toMatchObject({ code: 0, stdout: `${RESOURCE}/hello condition met\n` });
  expect((await kubectl.run(['get', 'tn', 'hello'])).code).toBe(1);
}

async function deleteTheRest({ kubectl, simulatorUrl }: Subject): Promise<void> {
  expect(await kubectl.read('delete', 'tn', '-l', 'tier=gold')).toContain('"newcomer" deleted');
  expect(lines(await kubectl.read('get', 'tn', '-o', 'name'))).toEqual([`${RESOURCE}/sleeper`]);
  expect(await kubectl.read('delete', 'tn', '--all', '--wait=false')).toContain('"sleeper" deleted');
  await kubectl.run(['wait', '--for=delete', '--timeout=180s', 'tn', '--all']);
  expect((await kubectl.run(['get', 'tn'])).stderr).toContain('No resources found');
  const world = await worldOf(simulatorUrl);
  expect(Object.keys(world.apps).filter((name) => name.startsWith('sp-'))).toEqual([]);
}
