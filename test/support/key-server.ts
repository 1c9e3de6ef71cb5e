import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { exportJWK, generateKeyPair, type JWK } from "jose";
import { mintToken, type TokenParts } from "./token.ts";

/** A key pair of an issuer. */
export interface IssuerKey {
  readonly alg: string;
  readonly kid: string;
  /** The public key, as the key set publishes it. */
  readonly jwk: JWK;
  /** Signs a token of the user ann. `kid` replaces the id of the key in its header; "" leaves it out. */
  sign(claims?: TokenParts["claims"], kid?: string): Promise<string>;
}

/** Generates a key pair. `more` are further members of the public key. */
export async function issuerKey(kid: string, alg = "ES256", more: JWK = {}): Promise<IssuerKey> {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
  return {
    alg,
    kid,
    jwk: { ...(await exportJWK(publicKey)), kid, alg, ...more } as JWK,
    sign: (claims = {}, named = kid) =>
      mintToken({ alg, claims, key: privateKey, ...(named === "" ? {} : { kid: named }) }),
  };
}

/** An issuer's key server, on a free port. */
export class KeyServer {
  /** The keys that it publishes. */
  keys: readonly unknown[];
  /** Responds instead of the key set, if set. */
  answer: ((response: ServerResponse, request: IncomingMessage) => void) | undefined;
  /** Requests so far. */
  requests = 0;
  readonly #server: Server;

  private constructor(keys: readonly unknown[]) {
    this.keys = keys;
    this.#server = createServer((request, response) => {
      this.requests++;
      if (this.answer) this.answer(response, request);
      else response.setHeader("content-type", "application/json").end(JSON.stringify({ keys: this.keys }));
    });
  }

  /** Starts a server that publishes these keys. */
  static async start(...keys: readonly IssuerKey[]): Promise<KeyServer> {
    const server = new KeyServer(keys.map(({ jwk }) => jwk));
    await new Promise<void>((resolve) => server.#server.listen(0, "127.0.0.1", resolve));
    return server;
  }

  /** The URL of the key set. */
  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/jwks.json`;
  }

  /** Publishes these keys instead. */
  publish(...keys: readonly IssuerKey[]): void {
    this.keys = keys.map(({ jwk }) => jwk);
  }

  /** Stops the server and cuts its connections. */
  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
