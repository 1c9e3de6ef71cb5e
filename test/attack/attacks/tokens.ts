/** Attacks by tokens: every wrong one costs the server a check of its signature, or a look at the key set. */
import { createHmac, randomBytes } from "node:crypto";
import type { Attack } from "../attack.ts";
import { callAndCount } from "../wire/call.ts";
import { repeat } from "../wire/loops.ts";
import { final, opcodes, openWebSocket, webSocketFrame, webSocketOutcome } from "../wire/web-socket.ts";

const base64 = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");

/** A token with the right form and the wrong signature, different each time so that no cache has it. */
function forged(header: object): string {
  const exp = Math.floor(Date.now() / 1000) + 3_600;
  const body = `${base64(header)}.${base64({ sub: "mallory", tenant: "acme", role: "admin", exp, nonce: Math.random() })}`;
  return `${body}.${createHmac("sha256", randomBytes(32)).update(body).digest("base64url")}`;
}

/** The attacks by forged tokens. */
export const tokenAttacks: readonly Attack[] = [
  {
    name: "tokens with forged signatures, in calls and on the bridge",
    async run(attacker) {
      await repeat(attacker, 10, async (loop) => {
        const token = forged({ alg: "HS256", typ: "JWT" });
        if (loop < 8) return callAndCount(attacker, { method: "ListUnread", token });
        const socket = await openWebSocket(attacker);
        const done = webSocketOutcome(attacker, socket);
        socket.write(webSocketFrame(final(opcodes.text), Buffer.from(JSON.stringify({ token, subscribe: {} }))));
        await done;
        socket.destroy();
      });
    },
    must: ["TOKEN_INVALID", "WebSocket closed with 4016"],
    may: ["WebSocket still open"],
  },
  {
    name: "tokens of keys that no key set has",
    byKeySet: true,
    async run(attacker) {
      await repeat(attacker, 10, () => {
        const kid = randomBytes(8).toString("hex");
        return callAndCount(attacker, { method: "ListUnread", token: forged({ alg: "ES256", kid }) });
      });
    },
    must: ["TOKEN_INVALID"],
    // One when the server starts, and one in each 10 s.
    most: { "key set fetched": 8 },
    may: ["key set fetched"],
  },
];
