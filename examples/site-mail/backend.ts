/** The backend of a site's mail: private letters, announcements to all, and taking them back. */
import { Kind } from "tidings/gen";
import { type Example, nameOf, required } from "../shared/example.ts";

/** What became of a letter, as its sender's page gets it. */
export type Sent = { messageId: string; told: string };

/** The example. */
export const example: Example = {
  title: "Site mail",
  about:
    "Private letters to one user and public ones to everybody. Whoever is away finds them, unread, on return. A public " +
    "letter is one write, whatever the number of users, and still unread for each of them by itself.",
  tries: [
    "Ada: write to Bob. His badge and the tab Private count it; open it, and it is read on all his pages.",
    "Write to everybody, then open Cleo's page: the letter waits there too. Its sender can take it back from all.",
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
        // Made by the page: pressing the button twice sends one letter.
        requestId: required(input, "requestId"),
      });
      const [receipt] = receipts;
      if (!receipt) return { messageId, told: `Sent to everybody; ${onlineUsers} are online.` };
      return { messageId, told: `Sent. ${nameOf(to)} ${receipt.online ? "is online" : "finds it on return"}.` };
    },
    /** A real site would look up who wrote it. */
    async recall(_user, input) {
      await push.deleteMessages({ ids: { messageIds: [required(input, "messageId")] }, recall: true });
    },
  }),
};
