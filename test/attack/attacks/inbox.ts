/** Attacks on inboxes: lists and marks of very many messages. */
import { type Attack, type Attacker, service, user } from "../attack.ts";
import { size } from "../size.ts";
import { callAndCount, mustCall } from "../wire/call.ts";
import { repeat } from "../wire/loops.ts";
import { openStream } from "../wire/stream.ts";

/** Publishes this many notifications to a user, of 100 categories. */
async function fillInbox(attacker: Attacker, userId: string, messages: number): Promise<void> {
  const token = await service();
  const perBatch = 1_000;
  for (let sent = 0; sent < messages; sent += perBatch) {
    const requests = Array.from({ length: perBatch }, (_, index) => ({
      audience: { userId },
      message: { kind: 1, title: "x", category: `c${index % 100}` },
    }));
    await mustCall(attacker, { method: "PublishBatch", body: { requests }, token });
  }
}

/** The attacks on inboxes. */
export const inboxAttacks: readonly Attack[] = [
  {
    name: `ten loops of ListUnread over ${size("5,000", "80,000")} unread messages`,
    prepare: (attacker) => fillInbox(attacker, "lister", size(5_000, 80_000)),
    async run(attacker) {
      const token = await user("lister");
      await repeat(attacker, 10, () => callAndCount(attacker, { method: "ListUnread", body: { pageSize: 1 }, token }));
    },
    must: ["status 200"],
    may: ["RATE_LIMITED, retry"],
  },
  {
    name: "messages marked one by one, by a user with 100 streams",
    async prepare(attacker) {
      await fillInbox(attacker, "marker", size(2_000, 10_000));
      const token = await user("marker");
      await Promise.all(Array.from({ length: 100 }, () => openStream(attacker, token)));
    },
    async run(attacker) {
      const token = await user("marker");
      await repeat(attacker, 4, () => callAndCount(attacker, { method: "MarkRead", body: { oldest: 1 }, token }));
    },
    must: ["status 200"],
    may: ["RATE_LIMITED, retry", "CONFLICT", "TOO_MANY_NEW_STREAMS, retry"],
  },
  {
    name: `marks and deletions of a whole category of ${size("5,000", "100,000")} messages`,
    prepare: (attacker) => fillInbox(attacker, "sweeper", size(5_000, 100_000)),
    async run(attacker) {
      const token = await user("sweeper");
      let number = 0;
      await repeat(attacker, 2, async (loop) => {
        const categories = [`c${number++ % 100}`];
        const category = { category: categories[0] };
        if (loop === 0) await callAndCount(attacker, { method: "MarkRead", body: { categories }, token });
        else await callAndCount(attacker, { method: "DeleteMessages", body: category, token });
      });
    },
    must: ["status 200"],
    may: ["RATE_LIMITED, retry", "CONFLICT"],
  },
];
