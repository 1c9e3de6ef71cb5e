/** The backend of an ERP, which notifies users of events in it. */
import { Kind } from "tidings-client/gen";
import { type Example, nameOf, required } from "../shared/example.ts";

/** The example. */
export const example: Example = {
  title: "Unread badge, sound, and who is online",
  about:
    "The badge shows the number of unread messages and is the same on every page of a user. A new message plays a sound on " +
    "one page of each receiver. The title shows how many users are online. No page sends a request to the backend.",
  tries: [
    "Click into both of Ada's pages (browsers keep pages silent until then), then notify Ada: one of them rings.",
    "Mark as read on one page: the badge of the other follows. Reload: nothing rings again.",
    "Close and open windows: the numbers in the titles follow within a second.",
  ],
  windows: [
    { label: "The ERP", page: "erp" },
    { label: "Ada at her desk", user: "ada" },
    { label: "Ada's second page", user: "ada" },
    { label: "Bob", user: "bob" },
  ],
  backend: (push) => ({
    async send(_user, input) {
      const to = required(input, "to");
      const message = { kind: Kind.NOTIFICATION, category: "system", title: required(input, "title") };
      const requestId = crypto.randomUUID();
      if (to === "everybody") {
        const audience = { to: { case: "tenant", value: true } } as const;
        const { onlineUsers } = await push.publish({ audience, message, requestId });
        return { answer: `Stored for everybody. ${onlineUsers} of them are online.` };
      }
      const userIds = to.split(",");
      const audience = { to: { case: "users", value: { userIds } } } as const;
      const { receipts } = await push.publish({ audience, message, requestId });
      const answers = receipts.map(
        ({ userId, connections }) => `${nameOf(userId)}: stored, on ${connections} pages now`,
      );
      return { answer: `${answers.join("; ")}.` };
    },
  }),
};
