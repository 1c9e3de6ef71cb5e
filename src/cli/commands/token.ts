import { mintToken, type TokenClaims } from "../../auth/mint-token.ts";
import { dayMs } from "../../util/durations.ts";
import type { Command } from "../command.ts";
import { readJwtSecrets } from "../config/jwt-secret.ts";
import type { Values } from "../config/settings.ts";
import { UsageError } from "../config/usage-error.ts";

/** `tidings token`: mints a JWT that a server with the same secret accepts. */
export const token: Command = {
  name: "token",
  summary: "Make a token for a user or a service.",
  details:
    "Signs with the secret of the server, from TIDINGS_JWT_SECRET or --jwt-secret-file; the secret of `tidings dev` is in " +
    ".tidings/dev-secret. --room, --can-publish and --can-take-over take ids of rooms, in which {sub} stands for the user's own " +
    "id, * for any text without /, and ** for any text. Prints only the token; with --json also its claims.",
  examples: [
    "tidings token --sub ada --tenant acme --role user --ttl 15m",
    "tidings token --sub ada --tenant acme --room 'team/*' --room 'inbox/{sub}' --can-publish 'team/*' --id session-7",
    "tidings token --sub backend --tenant acme --role service --ttl 30d --jwt-secret-file .tidings/dev-secret",
    "export TIDINGS_TOKEN=$(tidings token --sub ops --role admin)",
  ],
  async run({ values, deps, print }) {
    const [secret] = readJwtSecrets(values, "token") ?? [];
    if (secret === undefined) {
      throw new UsageError("token needs the server's secret: set TIDINGS_JWT_SECRET or --jwt-secret-file", "token");
    }
    const now = Math.floor(deps.now() / 1000);
    const claims = claimsOf(values, now);
    const signed = await mint(secret, claims, now);
    if (values.json) print.json({ token: signed, claims });
    else print.line(signed);
    return 0;
  },
};

function claimsOf(values: Values, now: number): TokenClaims {
  const { sub, tenant, role, ttl = 3_600_000, iss = values.jwtIssuer, aud = values.jwtAudience } = values;
  const { id: jti, name, picture, room: rooms, canPublish: publish, canTakeOver: takeover, jwtMaxDays } = values;
  if (sub === undefined) throw new UsageError("--sub is required: the id of the user or service", "token");
  if (tenant === undefined && role === "user") throw new UsageError("--tenant is required for a user", "token");
  if (ttl > jwtMaxDays * dayMs) {
    const sentence = `--ttl must be at most ${jwtMaxDays}d, which servers accept; set --jwt-max-days if yours accept more`;
    throw new UsageError(sentence, "token");
  }
  return {
    sub,
    ...(tenant === undefined ? {} : { tenant }),
    role,
    iat: now,
    exp: now + Math.floor(ttl / 1000),
    ...(iss === undefined ? {} : { iss }),
    ...(aud === undefined ? {} : { aud }),
    ...(jti === undefined ? {} : { jti }),
    ...(name === undefined ? {} : { name }),
    ...(picture === undefined ? {} : { picture }),
    ...(rooms === undefined ? {} : { rooms }),
    ...(publish === undefined ? {} : { publish }),
    ...(takeover === undefined ? {} : { takeover }),
  };
}

async function mint(secret: string, claims: TokenClaims, now: number): Promise<string> {
  try {
    return await mintToken(secret, claims, now);
  } catch (error) {
    if (error instanceof RangeError) throw new UsageError(`--${error.message}`, "token");
    throw error;
  }
}
