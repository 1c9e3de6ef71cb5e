/** The backend of a long job: it answers at once, works on, and says at each stage how far it is. */
import { setTimeout as wait } from "node:timers/promises";
import { fromJson } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { escapeId } from "tidings";
import { Kind } from "tidings/gen";
import { type Example, nameOf } from "../shared/example.ts";

/** What a stage says, as pages get it. */
export type Stage = { stage: number; of: number; text: string; failed?: boolean };

/** How long a stage takes, in ms. */
const stageMs = 700;
const stages = ["Collecting 1,204 orders", "Checking stock", "Adding up", "Drawing charts", "Writing the report"];

/** The example. */
export const example: Example = {
  title: "A long job that reports its stages",
  about:
    "The page that starts a job joins the job's room and sees each stage as it happens. Stages are events with a time to " +
    "live, so a page that was reloaded is given them again. At the end a notification waits for whoever left meanwhile.",
  tries: [
    "Ada: start a report and reload while it runs, or close the window and open it again: every stage is there.",
    "Start one that fails: the page hears that too.",
    "Bob: watch job/ada/1. The server refuses, as Bob's token opens only his own jobs, and says so; his page goes on.",
  ],
  windows: [
    { label: "Ada", user: "ada" },
    { label: "Bob", user: "bob" },
  ],
  grants: () => ({ rooms: ["job/{sub}/*"] }),
  backend(push) {
    let jobs = 0;

    /** One stage. A repeated call with the same requestId says nothing twice. */
    async function say(roomId: string, data: Stage): Promise<void> {
      await push.publish({
        audience: { to: { case: "roomId", value: roomId } },
        message: {
          kind: Kind.EVENT,
          event: "stage",
          title: data.text,
          payload: { case: "json", value: fromJson(ValueSchema, data) },
          ttl: { seconds: 3600n },
        },
        requestId: `${roomId}#${data.stage}`,
      });
    }

    async function work(user: string, roomId: string, failAt: number): Promise<void> {
      for (const [index, text] of stages.entries()) {
        if (index > 0) await say(roomId, { stage: index, of: stages.length, text });
        await wait(stageMs);
        if (index === failAt) throw new Error("the warehouse does not answer");
      }
      await say(roomId, { stage: stages.length, of: stages.length, text: "The report is ready" });
      await push.publish({
        audience: { to: { case: "userId", value: user } },
        message: { kind: Kind.NOTIFICATION, category: "job", title: `Your report ${roomId} is ready`, url: "#report" },
        requestId: roomId,
      });
    }

    return {
      async start(user, { fail }): Promise<{ roomId: string }> {
        jobs += 1;
        const roomId = `job/${escapeId(user)}/${jobs}`;
        // The first stage is stored before the answer, so that whoever joins the room finds the job in it.
        await say(roomId, { stage: 0, of: stages.length, text: stages[0] as string });
        work(user, roomId, fail ? 2 : -1).catch((error: Error) =>
          say(roomId, {
            stage: stages.length,
            of: stages.length,
            text: `Failed: ${error.message}`,
            failed: true,
          }).catch(
            // Nobody waits for this: the log is all that is left.
            (cause: Error) => console.error(`${nameOf(user)}'s job: ${cause.message}`),
          ),
        );
        return { roomId };
      },
    };
  },
};
