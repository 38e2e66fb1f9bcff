/**
 * What is a valid image reference, and which one may a tenant deploy? The grammar is that of the OCI
 * distribution specification: registry/repository[:tag][@sha256:digest]. The registry is always written out,
 * because Fly would otherwise silently mean Docker Hub.
 */
import { imageTag } from './names.ts';

/** Pattern of `spec.image`; RE2-compatible, so that the CRD's schema can carry it as well. */
export const IMAGE_PATTERN =
  '^[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?(@sha256:[a-f0-9]{64})?$';

export interface ImageReference {
  readonly registry: string;
  readonly repository: string;
  readonly tag?: string;
  /** `sha256:` and 64 hexadecimal digits. */
  readonly digest?: string;
}

/** Takes a reference apart; undefined when it does not match {@link IMAGE_PATTERN} or names neither tag nor digest. */
export function parseImage(text: string): ImageReference | undefined {
  if (!new RegExp(IMAGE_PATTERN).test(text)) return undefined;
  const [path = '', digest] = text.split('@');
  const slash = path.indexOf('/');
  const rest = path.slice(slash + 1);
  const colon = rest.lastIndexOf(':');
  const tag = colon === -1 ? undefined : rest.slice(colon + 1);
  if (tag === undefined && digest === undefined) return undefined;
  return {
    registry: path.slice(0, slash),
    repository: colon === -1 ? rest : rest.slice(0, colon),
    ...(tag !== undefined && { tag }),
    ...(digest !== undefined && { digest }),
  };
}

/** The reference by digest alone, which is what a machine runs: a tag can be moved, a digest cannot. */
export function pinnedImage(reference: ImageReference, digest: string): string {
  return `${reference.registry}/${reference.repository}@${digest}`;
}

/** The only image that a tenant's owner may deploy: its own tag in the shared registry app. */
export function tenantImage(registry: string, sharedApp: string, uid: string): string {
  return `${registry}/${sharedApp}:${imageTag(uid)}`;
}
