/** The backend of a site's mail: private letters, public letters, and their recall. */
import { Kind } from "tidings-client/gen";
import { type Example, nameOf, required } from "../shared/example.ts";

/** The result of sending a letter, as the sender's page receives it. */
export type Sent = { messageId: string; answer: string };

/** The example. */
export const example: Example = {
  title: "Site mail",
  about:
    "Private letters to one user and public ones to everybody. A user who was away finds them on return, unread. A public " +
    "letter is one write, whatever the number of users, and each user reads it separately.",
  tries: [
    "Ada: write to Bob. His badge and the tab Private count it; open it, and it is read on all his pages.",
    "Write to everybody, then open Cleo's page: the letter is there, too. Its sender can take it back from all users.",
    "Mark all public ones as read: the private ones stay unread.",
  ],
  windows: [
    { label: "Ada", user: "ada" },
    { label: "Bob", user: "bob" },
    { label: "Cleo", user: "cleo", closed: true },
  ],
  backend: (push) => ({
    async send(user, input): Promise<Sent> {
      const to = required(input, "to");
      const { messageId, receipts, onlineUsers } = await push.publish({
        audience: { to: to === "everybody" ? { case: "tenant", value: true } : { case: "userId", value: to } },
        message: {
          kind: Kind.NOTIFICATION,
          category: to === "everybody" ? "public" : "private",
          title: required(input, "title"),
          content: required(input, "content"),
          actor: { id: user, name: nameOf(user) },
        },
        // From the page, so that a second click on the button sends no second letter.
        requestId: required(input, "requestId"),
      });
      const [receipt] = receipts;
      if (!receipt) return { messageId, answer: `Sent to everybody; ${onlineUsers} are online.` };
      return { messageId, answer: `Sent. ${nameOf(to)} ${receipt.online ? "is online" : "finds it on return"}.` };
    },
    /** A real site would check that the caller wrote the letter. */
    async recall(_user, input) {
      await push.deleteMessages({ ids: { messageIds: [required(input, "messageId")] }, recall: true });
    },
  }),
};
