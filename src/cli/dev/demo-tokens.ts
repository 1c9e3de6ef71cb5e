import { mintToken } from "../../auth/mint-token.ts";

/** The tenant of the demo. */
export const demoTenant = "acme";
/** The users of the demo's tenant. */
export const demoUsers = ["ada", "bob"] as const;
/** The service that publishes in the demo's tenant. */
export const demoService = "backend";

/**
 * One token for the service and for each user of the demo, by id, as the backend of a company would mint them after a
 * login. They expire `lifetimeSeconds` after `now`, in seconds since the Unix epoch.
 */
export async function mintDemoTokens(
  secret: string,
  lifetimeSeconds: number,
  now: number,
): Promise<ReadonlyMap<string, string>> {
  const subjects = [
    { sub: demoService, role: "service" as const },
    ...demoUsers.map((sub) => ({ sub, role: "user" as const })),
  ];
  const tokens = new Map<string, string>();
  for (const subject of subjects) {
    const claims = { ...subject, tenant: demoTenant, exp: now + lifetimeSeconds };
    tokens.set(subject.sub, await mintToken(secret, claims, now));
  }
  return tokens;
}
