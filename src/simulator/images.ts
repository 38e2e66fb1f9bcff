/**
 * What does an image reference stand for? At create and update Fly resolves it to a digest. References to our
 * own registry must exist there (and be old enough for the hosts to have heard of them); every other registry
 * is taken to hold whatever is asked of it, under a digest that follows from the reference.
 */
import { createHash } from 'node:crypto';
import type { Moment } from './moment.ts';
import { invalid, Refusal } from './refusal.ts';
import { own, type ImageRef } from './state.ts';

const REFERENCE =
  /^(?:(?<registry>[a-zA-Z0-9.-]*[.:][a-zA-Z0-9.:-]*|localhost)\/)?(?<repository>[a-z0-9]+(?:[._/-]+[a-z0-9]+)*)(?::(?<tag>[\w][\w.-]{0,127}))?(?:@(?<digest>sha256:[a-f0-9]{64}))?$/;

/** A registry on this machine is always ours: the port is another one after a restart, the images are not. */
const LOOPBACK = /^(?:127\.0\.0\.1|localhost)(?::[0-9]+)?$/;

export function sha256(text: string): string {
  return `sha256:${createHash('sha256').update(text).digest('hex')}`;
}

/** Resolves a reference as a host does that pulls it; refuses what the registry does not know. */
export function resolveImage(moment: Moment, image: string): ImageRef {
  const groups = REFERENCE.exec(image)?.groups;
  if (groups?.repository === undefined) throw invalid(`config.image: invalid reference "${image}"`);
  const { registry = 'registry-1.docker.io', repository, digest } = groups;
  const tag = groups.tag ?? (digest === undefined ? 'latest' : undefined);
  const known = tag === undefined ? {} : { tag };
  if (!LOOPBACK.test(registry) && !moment.settings.registryHosts.includes(registry)) {
    return {
      registry,
      repository,
      ...known,
      digest: digest ?? sha256(`${registry}/${repository}:${tag ?? ''}`),
    };
  }
  const wanted = digest ?? own(moment.state.tags, `${repository}:${tag ?? ''}`);
  const manifest = wanted === undefined ? undefined : own(moment.state.manifests, `${repository}@${wanted}`);
  if (wanted === undefined || manifest === undefined || manifest.pullableAt > moment.now) {
    throw new Refusal(
      400,
      `failed to get manifest ${image}: request failed: not found [http 404]: MANIFEST_UNKNOWN: manifest unknown`,
    );
  }
  return { registry, repository, ...known, digest: wanted };
}
