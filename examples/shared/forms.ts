/** For pages that only ask their backend: each form sends its fields to the action of its name. */
import { ask, onSubmit } from "./browser.ts";

for (const form of document.querySelectorAll("form")) {
  onSubmit(form, async (input) => (await ask<{ told: string }>(form.name, input)).told);
}
