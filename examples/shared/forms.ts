/** For pages without a client: each form sends its fields to the action of its name and shows the answer. */
import { ask, onSubmit } from "./browser.ts";

for (const form of document.querySelectorAll("form")) {
  onSubmit(form, async (input) => (await ask<{ answer: string }>(form.name, input)).answer);
}
