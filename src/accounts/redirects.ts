/**
 * Where may a browser be sent with a token in its address? To the person's own machine, where the CLI listens on some
 * port, and to hosts that the operator has named. Anything else would hand logins to whoever crafts a link.
 */

const LOOPBACK = ['127.0.0.1', 'localhost', '[::1]'];
const LONGEST = 2_048;

/** The address when it is allowed, undefined otherwise. `hosts` may name a port: `app.example.com:8443`. */
export function allowedRedirect(text: string, hosts: readonly string[]): URL | undefined {
  if (text.length > LONGEST || !URL.canParse(text)) return undefined;
  const url = new URL(text);
  const plain = url.username === '' && url.password === '' && url.hash === '';
  const named = url.protocol === 'https:' && hosts.includes(url.host);
  return plain && (isPlainLoopback(url) || named) ? url : undefined;
}

/** Whether the address is on this very machine, and needs no encryption for that. */
export function isPlainLoopback({ protocol, hostname }: URL): boolean {
  return protocol === 'http:' && LOOPBACK.includes(hostname);
}

/** The address with more parameters, whatever it had before; absent values are left out. */
export function withParameters(url: URL, parameters: Readonly<Record<string, string | undefined>>): string {
  const result = new URL(url);
  for (const [name, value] of Object.entries(parameters))
    if (value !== undefined) result.searchParams.set(name, value);
  return result.href;
}
