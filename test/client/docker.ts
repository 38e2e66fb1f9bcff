/**
 * What does `docker login` and `docker push` do at the registry? They prove the password at `/v2/`, and upload blobs and
 * a manifest with it. Docker speaks plain HTTP to a registry on this machine, and so does this.
 */
import { pushImage } from '../support/registry.ts';
import { CliError } from './http.ts';

export interface Docker {
  /** Throws CliError when the registry does not take it. */
  login(account: {
    readonly registry: string;
    readonly username: string;
    readonly password: string;
  }): Promise<void>;
  /** Returns the digest. Throws when the registry refuses. */
  push(image: string): Promise<string>;
  /** What the next push uploads. */
  build(content: string): void;
}

export function createDocker(): Docker {
  const accounts = new Map<string, string>();
  let content = '';
  return {
    build(next) {
      content = next;
    },
    async login({ registry, username, password }) {
      const authorization = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
      const answer = await fetch(`http://${registry}/v2/`, { headers: { authorization } });
      await answer.arrayBuffer();
      if (answer.status !== 200) throw new CliError(`docker login: ${answer.status}`);
      accounts.set(registry, authorization);
    },
    push(image) {
      const [, registry = '', repository = '', tag = ''] = /^([^/]+)\/(.+):([^:/]+)$/.exec(image) ?? [];
      const authorization = accounts.get(registry) ?? '';
      return pushImage({ url: `http://${registry}`, repository, tag, content, authorization });
    },
  };
}
