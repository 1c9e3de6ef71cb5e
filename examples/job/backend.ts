/** The backend of a long job: it answers at once, continues in the background, and reports each stage. */
import { setTimeout as wait } from "node:timers/promises";
import { fromJson } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { escapeId } from "tidings";
import { Kind } from "tidings-client/gen";
import { type Example, nameOf } from "../shared/example.ts";

/** A stage, as pages receive it. */
export type Stage = { stage: number; of: number; text: string; failed?: boolean };

/** The duration of a stage, in ms. */
const stageMs = 700;
const stages = ["Collecting 1,204 orders", "Checking stock", "Adding up", "Drawing charts", "Writing the report"];

/** The example. */
export const example: Example = {
  title: "A long job that reports its stages",
  about:
    "The page that starts a job joins the job's room and shows each stage as it happens. Stages are events with a ttl, so a " +
    "page that is reloaded gets them again. At the end a notification waits for a user who left meanwhile.",
  tries: [
    "Ada: start a report and reload while it runs, or close the window and open it again: every stage is there.",
    "Start one that fails: the page shows that too.",
    "Bob: watch job/ada/1. The server refuses, since Bob's token names only his own jobs; his page is not affected.",
  ],
  windows: [
    { label: "Ada", user: "ada" },
    { label: "Bob", user: "bob" },
  ],
  grants: () => ({ rooms: ["job/{sub}/*"] }),
  backend(push) {
    let jobs = 0;

    /** Reports a stage. A retry with the same requestId publishes nothing twice. */
    async function report(roomId: string, data: Stage): Promise<void> {
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
        if (index > 0) await report(roomId, { stage: index, of: stages.length, text });
        await wait(stageMs);
        if (index === failAt) throw new Error("the warehouse does not answer");
      }
      await report(roomId, { stage: stages.length, of: stages.length, text: "The report is ready" });
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
        // Store the first stage before answering, so that a page which joins the room finds the job in it.
        await report(roomId, { stage: 0, of: stages.length, text: stages[0] as string });
        work(user, roomId, fail ? 2 : -1).catch((error: Error) =>
          report(roomId, {
            stage: stages.length,
            of: stages.length,
            text: `Failed: ${error.message}`,
            failed: true,
          }).catch(
            // No caller waits for this, so the error can only be logged.
            (cause: Error) => console.error(`${nameOf(user)}'s job: ${cause.message}`),
          ),
        );
        return { roomId };
      },
    };
  },
};
