/** The rows of the rate limits in the table of settings. */
import { defaultLimits, type LimitName, type QuotaName } from "../../limit-options.ts";
import { rate, spellRate, whole } from "./value-types.ts";

function limit(name: LimitName, help: string) {
  return { type: rate, default: spellRate(defaultLimits[name]), help, for: ["serve", "dev"] } as const;
}

/** The settings of the rate limits, whose names are those of the options in `limits`. */
export const limitSettings = {
  publishesPerTenant: limit(
    "publishesPerTenant",
    "Rate limit for the messages of one tenant: a batch counts one for each user that it names. The nodes of one --bus share all rate limits.",
  ),
  publishesPerCredential: limit(
    "publishesPerCredential",
    "Rate limit for the messages that one service or admin publishes, whatever token it uses.",
  ),
  publishesPerUser: limit("publishesPerUser", "Rate limit for the messages that one user publishes."),
  bytesPerTenant: limit("bytesPerTenant", "Rate limit for the bytes of content and payload published in one tenant."),
  bytesPerCredential: limit(
    "bytesPerCredential",
    "Rate limit for the bytes of content and payload that one service or admin publishes.",
  ),
  bytesPerUser: limit("bytesPerUser", "Rate limit for the bytes of content and payload that one user publishes."),
  callsPerUser: limit(
    "callsPerUser",
    "Rate limit for the calls of one user that list, mark or count messages: all but Publish and Subscribe.",
  ),
  newRoomsPerUser: limit(
    "newRoomsPerUser",
    "Rate limit for the rooms, direct ones included, to which one user is the first to publish.",
  ),
  newStreamsPerUser: limit("newStreamsPerUser", "Rate limit for the streams that one user opens."),
  newStreamsPerAddress: limit(
    "newStreamsPerAddress",
    "Rate limit for the streams that are opened from one address, or one /64 of IPv6. Internal addresses have none, unless --trusted-proxies report them.",
  ),
} satisfies Record<LimitName, unknown>;

/** The settings of the quotas, whose names are those of the options in `quotas`. */
export const quotaSettings = {
  storedBytesPerTenant: {
    type: whole(1),
    help: "Quota on the bytes of messages that are stored for one tenant. Default: none.",
    for: ["serve", "dev"],
  },
  feedsPerTenant: {
    type: whole(1),
    help: "Quota on the feeds of one tenant: one for each user and room that anything was ever published to. Default: none.",
    for: ["serve", "dev"],
  },
} as const satisfies Record<QuotaName, unknown>;
