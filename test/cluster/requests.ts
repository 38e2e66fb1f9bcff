/** How does a test speak to the test cluster's API server itself, beside Landlord and kubectl? */
import { Agent, request as send } from 'undici';

const TIMEOUT_MS = 30_000;

export interface ApiRequest {
  /** GET when absent. */
  readonly method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly path: string;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** application/json when absent. */
  readonly contentType?: string;
  /** Instead of the administrator's. */
  readonly token?: string;
}

export interface ApiResponse {
  readonly status: number;
  /** Parsed when it is JSON, else the text. */
  readonly body: unknown;
}

/** One request over a connection of its own; never throws for a status. */
export async function request(
  server: { readonly url: string; readonly certificateAuthority: string; readonly token: string },
  options: ApiRequest,
): Promise<ApiResponse> {
  const { method = 'GET', path, body, contentType = 'application/json', token = server.token } = options;
  const dispatcher = new Agent({ connect: { ca: server.certificateAuthority } });
  try {
    const response = await send(`${server.url}${path}`, {
      method,
      dispatcher,
      headers: { authorization: `Bearer ${token}`, 'content-type': contentType },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    const text = await response.body.text();
    return { status: response.statusCode, body: parsed(text) };
  } finally {
    await dispatcher.destroy();
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
