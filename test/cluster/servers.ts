/** What the test cluster stands on: an API server and its etcd, wherever they run. */
export interface Servers {
  readonly url: string;
  /** PEM of the authority that signed the server's certificate. */
  readonly certificateAuthority: string;
  /** Token of a user in `system:masters`. */
  readonly adminToken: string;
  /** The audit log so far: one JSON document a line. */
  auditLog(): Promise<string>;
  /** Forgets all revisions of etcd up to now. */
  compact(): Promise<void>;
  stopApiServer(): Promise<void>;
  /** Starts it again on the same port, over the same etcd; returns once it is ready. */
  startApiServer(): Promise<void>;
  /** Stops both, and leaves nothing behind. */
  stop(): Promise<void>;
}

/** Metadata of every request once it is answered; a watch counts when it begins, too. */
export const AUDIT_POLICY = {
  apiVersion: 'audit.k8s.io/v1',
  kind: 'Policy',
  omitStages: ['RequestReceived'],
  rules: [{ level: 'Metadata' }],
};

/** kube-apiserver's file of static tokens. */
export function tokensFile(adminToken: string): string {
  return `${adminToken},admin,admin,system:masters\n`;
}
