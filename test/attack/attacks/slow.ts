/** Attacks by peers that send half of a request, or read nothing. */
import { type Attack, service, user } from "../attack.ts";
import { size } from "../size.ts";
import { mustCall } from "../wire/call.ts";
import { envelope, openSession, request } from "../wire/http2.ts";

/** The attacks of slow peers. */
export const slowAttacks: readonly Attack[] = [
  {
    name: "streams that read nothing while 20 MB are published to them",
    healthyTenant: "other",
    async run(attacker) {
      const token = await user("mallory");
      for (let opened = 0; opened < 40; opened++) {
        const session = openSession(attacker);
        const stream = request(session, { method: "Subscribe", type: "application/connect+json", token });
        stream.pause().end(envelope("{}"));
      }
      const backend = await service();
      const body = { audience: { userId: "mallory" }, message: { kind: 1, content: "x".repeat(60_000) } };
      for (let sent = 0; sent < size(100, 350); sent++)
        await mustCall(attacker, { method: "Publish", body, token: backend });
      attacker.answers.add("nothing read");
    },
    must: ["nothing read"],
  },
];
